-- The next version of a note, unless somebody wrote one since the version that was seen: the key keeps the second of two
-- out.
-- $1 name, $2 the version seen (0: none), $3 value, $4 actor -> a row where it was written
WITH t AS MATERIALIZED ({durable})
INSERT INTO bidlock.notes (name, version, value, actor, at_ms)
SELECT $1, $2 + 1, $3, $4, t.now_ms FROM t
WHERE $2 = coalesce((SELECT max(n.version) FROM bidlock.notes AS n WHERE n.name = $1), 0)
ON CONFLICT (name, version) DO NOTHING
RETURNING version;
