-- A look-up found the bid. Never under the marketplace's name of another bid on the posting; nor while a later bid
-- with the same key is being sent, as what was found may be that one. Otherwise as in accept.sql.
-- ?1..?7 the guard; ?8 state, ?9 reason, ?10 external reference -> the row
UPDATE bids SET
    state = ?8, reason = ?9, external_ref = ?10,
    rebid_allowed = rebid_allowed AND EXISTS (SELECT 1 FROM bids AS l
        WHERE l.marketplace = bids.marketplace AND l.posting = bids.posting AND NOT l.rebid_allowed),
    updated_at_ms = ?7, events = events + 1
WHERE {guard}
    AND NOT {named}
    AND NOT EXISTS (SELECT 1 FROM bids AS o
        WHERE o.marketplace = bids.marketplace AND o.posting = bids.posting AND NOT o.rebid_allowed
            AND o.id <> bids.id AND o.state = 'submitting' AND o.idempotency_key = bids.idempotency_key)
RETURNING {columns};
