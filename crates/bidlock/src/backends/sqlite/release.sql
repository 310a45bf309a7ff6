-- Frees a key that this nonce holds, live, and no other. ?1 key, ?2 nonce, ?3 boot id, ?4 now. One changed row means
-- released; none means that find.sql tells why.
DELETE FROM bidlock_lease WHERE key = ?1 AND nonce = ?2 AND boot_id = ?3 AND deadline_ms > ?4;
