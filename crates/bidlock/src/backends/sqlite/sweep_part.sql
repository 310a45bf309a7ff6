-- Takes out the expired rows of one part. ?1 the key it starts after, ?2 the last key of it, ?3 boot id, ?4 now.
DELETE FROM bidlock_lease
WHERE key > ?1 AND key <= ?2 AND (boot_id <> ?3 OR deadline_ms <= ?4);
