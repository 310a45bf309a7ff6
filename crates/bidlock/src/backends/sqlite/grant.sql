-- Makes a key its new holder's, in place of an expired row if there is one. The caller has looked, in the same
-- transaction. ?1 key, ?2 holder, ?3 nonce, ?4 token, ?5 boot id, ?6 granted_ms, ?7 deadline_ms.
INSERT OR REPLACE INTO bidlock_lease (key, holder, nonce, token, boot_id, granted_ms, deadline_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);
