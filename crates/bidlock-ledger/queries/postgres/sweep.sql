-- Rows of one state whose claim (or approval) has expired, and since when they have not moved; locked, but for those
-- that another sweeper has in hand.
-- $1 state, $2 at most so many -> short columns
SELECT b.id, b.claim_id, b.holder, t.now_ms - b.claim_until_ms,
    to_char(to_timestamp(b.updated_at_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    to_char(to_timestamp(b.approved_until_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM bidlock.bids AS b, (SELECT bidlock.now_ms() AS now_ms) AS t
WHERE b.state = $1 AND CASE $1
    WHEN 'approved' THEN b.approved_until_ms <= t.now_ms
    ELSE b.claim_until_ms <= t.now_ms
END
ORDER BY b.id LIMIT $2 FOR UPDATE OF b SKIP LOCKED;
