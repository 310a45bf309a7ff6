-- Who holds a key, live or expired. ?1 key. At most one row.
SELECT holder, nonce, token, boot_id, granted_ms, deadline_ms
FROM bidlock_lease
WHERE key = ?1;
