-- Frees a key whoever holds it. ?1 key. Returns what it was timed by, if there was a row.
DELETE FROM bidlock_lease WHERE key = ?1
RETURNING boot_id, deadline_ms;
