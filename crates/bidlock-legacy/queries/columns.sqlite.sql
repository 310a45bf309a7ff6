-- The columns of a table. ?1 its name -> name, type, whether it must be given a value. A whole-number key counts by
-- itself.
SELECT name, type,
    ("notnull" OR pk > 0) AND dflt_value IS NULL AND NOT (pk = 1 AND upper(type) = 'INTEGER')
FROM pragma_table_info(?1) ORDER BY cid;
