-- Makes a key its new holder's, if it is free or its row has expired. ?1 key, ?2 holder, ?3 nonce, ?4 the time in
-- microseconds since 1970, ?5 boot id, ?6 granted_ms, ?7 deadline_ms. The token is the one that mint.sql gives right
-- afterwards. One changed row means granted, none means that somebody holds the key.
INSERT INTO bidlock_lease (key, holder, nonce, token, boot_id, granted_ms, deadline_ms)
VALUES (?1, ?2, ?3, (SELECT max(last + 1, ?4) FROM bidlock_token WHERE one = 1), ?5, ?6, ?7)
ON CONFLICT (key) DO UPDATE SET
    holder = excluded.holder, nonce = excluded.nonce, token = excluded.token,
    boot_id = excluded.boot_id, granted_ms = excluded.granted_ms, deadline_ms = excluded.deadline_ms
WHERE boot_id <> excluded.boot_id OR deadline_ms <= excluded.granted_ms;
