-- Frees a key that this nonce holds, live or expired, and no other. ?1 key, ?2 nonce. Returns what it was timed by.
DELETE FROM bidlock_lease WHERE key = ?1 AND nonce = ?2
RETURNING boot_id, deadline_ms;
