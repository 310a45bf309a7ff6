-- The columns of a table that the search path finds. $1 its name
-- -> name, type as a cast wants it, whether it must be given a value, how many characters fit where that is limited
-- A type modifier of -1 gives the type without its length (`bpchar`, where NULL would give `character`, which is one
-- character). The length that varchar (1043) and char (1042) keep there counts 4 for its header.
SELECT a.attname::text, format_type(a.atttypid, -1),
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '',
    CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod >= 4 THEN a.atttypmod - 4 END
FROM pg_attribute AS a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;
