-- The bid because of which find.sql or accept.sql changed nothing.
-- ?1 bid, ?2 external reference, ?3 whether one that is being sent counts, as in find.sql -> the row
SELECT {columns} FROM bids
WHERE n IN (
    SELECT o.n FROM bids AS b JOIN bids AS o ON o.marketplace = b.marketplace AND o.posting = b.posting
    WHERE b.id = ?1 AND NOT o.rebid_allowed AND o.id <> b.id
        AND (o.external_ref = ?2 OR (?3 AND o.state = 'submitting' AND o.idempotency_key = b.idempotency_key))
    UNION ALL
    SELECT o.n FROM bids AS b JOIN bids AS o ON o.marketplace = b.marketplace AND o.posting = b.posting
    WHERE b.id = ?1 AND o.rebid_allowed AND o.id <> b.id AND o.external_ref = ?2)
LIMIT 1;
