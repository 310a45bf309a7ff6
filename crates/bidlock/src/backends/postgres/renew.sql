-- Moves the deadlines of leases that their nonces still hold, and no others.
-- $1 keys, $2 nonces, $3 TTLs in microseconds -> ordinals of those that were renewed
WITH t AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now_us,
        set_config('synchronous_commit', 'off', true) AS relaxed)
UPDATE bidlock.lease AS l SET deadline_us = t.now_us + g.ttl_us
FROM t, unnest($1, $2, $3) WITH ORDINALITY AS g(key, nonce, ttl_us, ord)
WHERE l.key = g.key AND l.nonce = g.nonce AND l.deadline_us > t.now_us
RETURNING g.ord;
