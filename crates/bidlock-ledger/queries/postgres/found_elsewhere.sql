-- The bid because of which find.sql or accept.sql changed nothing.
-- $1 bid, $2 external reference, $3 whether one that is being sent counts, as in find.sql -> the time, the row
SELECT bidlock.now_ms(), {columns} FROM bidlock.bids AS b
WHERE b.id IN (
    SELECT o.id FROM bidlock.bids AS a JOIN bidlock.bids AS o
        ON o.marketplace = a.marketplace AND o.posting = a.posting AND NOT o.rebid_allowed
    WHERE a.id = $1 AND o.id <> a.id
        AND (o.external_ref = $2 OR ($3 AND o.state = 'submitting' AND o.idempotency_key = a.idempotency_key))
    UNION ALL
    SELECT o.id FROM bidlock.bids AS a JOIN bidlock.bids AS o
        ON o.marketplace = a.marketplace AND o.posting = a.posting AND o.rebid_allowed
    WHERE a.id = $1 AND o.id <> a.id AND o.external_ref = $2)
LIMIT 1;
