-- Makes each key its new holder's, if it is free or its lease has expired, and grants it again to the nonce that holds
-- it. Losers are told by a read and write nothing. No key may be in it twice. A lost commit of the last moments before a
-- crash loses a lease, not a bid, so nobody waits for the disk.
-- $1 keys, $2 holders, $3 nonces, $4 TTLs in microseconds -> ordinal, token if granted, holder and remaining time if
-- somebody else has it; none of these where another one was faster than this statement could see: ask again
WITH t AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now_us,
        set_config('synchronous_commit', 'off', true) AS relaxed),
wanted AS MATERIALIZED (
    SELECT * FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS w(key, holder, nonce, ttl_us, ord)),
granted AS (
    INSERT INTO bidlock.lease AS l (key, holder, nonce, token, granted_us, deadline_us)
    SELECT w.key, w.holder, w.nonce, t.now_us, t.now_us, t.now_us + w.ttl_us
    FROM wanted AS w, t
    WHERE NOT EXISTS (SELECT 1 FROM bidlock.lease AS h
        WHERE h.key = w.key AND h.nonce <> w.nonce AND h.deadline_us > t.now_us)
    ORDER BY w.key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET
        holder = excluded.holder, nonce = excluded.nonce,
        token = CASE WHEN l.nonce = excluded.nonce THEN l.token ELSE greatest(l.token + 1, excluded.token) END,
        granted_us = CASE WHEN l.nonce = excluded.nonce THEN l.granted_us ELSE excluded.granted_us END,
        deadline_us = excluded.deadline_us
    WHERE l.nonce = excluded.nonce OR l.deadline_us <= excluded.granted_us
    RETURNING l.key, l.nonce, l.token)
SELECT w.ord, g.token, h.holder, h.deadline_us - t.now_us
FROM wanted AS w CROSS JOIN t
LEFT JOIN granted AS g ON g.key = w.key AND g.nonce = w.nonce
LEFT JOIN bidlock.lease AS h ON h.key = w.key AND h.nonce <> w.nonce AND h.deadline_us > t.now_us;
