-- Live locks, ordered by key. $1 the key to start after, $2 exact key or NULL, $3 prefix or NULL, $4 holder or NULL,
-- $5 how many -> key, holder, token, microseconds held and left
SELECT l.key, l.holder, l.token, t.now_us - l.granted_us, l.deadline_us - t.now_us
FROM bidlock.lease AS l,
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS now_us) AS t
WHERE l.deadline_us > t.now_us AND l.key > $1
    AND ($2 IS NULL OR l.key = $2) AND ($3 IS NULL OR starts_with(l.key, $3)) AND ($4 IS NULL OR l.holder = $4)
ORDER BY l.key LIMIT $5;
