-- The next version of a note, unless somebody wrote one since the version that was seen.
-- ?1 name, ?2 the version seen (0: none), ?3 value, ?4 actor, ?5 wall time
INSERT INTO notes (name, version, value, actor, at_ms)
SELECT ?1, ?2 + 1, ?3, ?4, ?5
WHERE ?2 = coalesce((SELECT max(version) FROM notes WHERE name = ?1), 0);
