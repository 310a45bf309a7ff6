-- Frees keys that these nonces hold, live, and no others.
-- $1 keys, $2 nonces -> ordinal, whether it was freed, whether somebody else holds it
WITH t AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now_us,
        set_config('synchronous_commit', 'off', true) AS relaxed),
given AS MATERIALIZED (SELECT * FROM unnest($1, $2) WITH ORDINALITY AS g(key, nonce, ord)),
freed AS (
    UPDATE bidlock.lease AS l SET deadline_us = t.now_us, nonce = '00000000-0000-0000-0000-000000000000'
    FROM given AS g, t
    WHERE l.key = g.key AND l.nonce = g.nonce AND l.deadline_us > t.now_us
    RETURNING g.ord)
SELECT g.ord, f.ord IS NOT NULL,
    EXISTS (SELECT 1 FROM bidlock.lease AS h
        WHERE h.key = g.key AND h.nonce <> g.nonce AND h.deadline_us > t.now_us)
FROM given AS g CROSS JOIN t LEFT JOIN freed AS f ON f.ord = g.ord;
