-- Live locks, ordered by key. ?1 boot id, ?2 now, ?3 the key to start after, ?4 exact key or NULL, ?5 prefix or
-- NULL, ?6 holder or NULL, ?7 how many.
SELECT key, holder, token, granted_ms, deadline_ms
FROM bidlock_lease
WHERE boot_id = ?1 AND deadline_ms > ?2 AND key > ?3
  AND (?4 IS NULL OR key = ?4)
  AND (?5 IS NULL OR substr(key, 1, length(?5)) = ?5)
  AND (?6 IS NULL OR holder = ?6)
ORDER BY key
LIMIT ?7;
