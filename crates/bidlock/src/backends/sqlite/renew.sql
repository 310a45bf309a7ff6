-- Moves the deadline of a lease that its nonce still holds, and no other. ?1 key, ?2 nonce, ?3 boot id, ?4 now,
-- ?5 the new deadline. One changed row means renewed, none means lost.
UPDATE bidlock_lease SET deadline_ms = ?5
WHERE key = ?1 AND nonce = ?2 AND boot_id = ?3 AND deadline_ms > ?4;
