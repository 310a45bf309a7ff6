-- What `doctor` tells of the table, and the rights that a scan beside old instances lacks. $1 more rows are not counted
-- -> rows, the rights that are missing
SELECT (SELECT count(*) FROM (SELECT 1 FROM bids LIMIT $1) AS counted),
    array(SELECT r || ' on ' || t
        FROM unnest(ARRAY['bids', 'bidlock_mirror']) AS t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r
        WHERE to_regclass(t) IS NOT NULL AND NOT has_table_privilege(to_regclass(t), r))
    || array(SELECT 'CREATE in schema ' || current_schema()
        WHERE to_regclass('bidlock_mirror') IS NULL AND NOT has_schema_privilege(current_schema(), 'CREATE'));
