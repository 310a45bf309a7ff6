-- A look-up found the bid. Never under the marketplace's name of another bid on the posting; nor while a later bid with
-- the same key is being sent, as what was found may be that one. Otherwise as in accept.sql.
-- $1..$8 as in move.sql; $9 external references -> see moved.sql
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.bids AS b SET
    state = c.to_state, reason = c.reason, external_ref = c.external_ref,
    rebid_allowed = b.rebid_allowed AND EXISTS (SELECT 1 FROM bidlock.bids AS l
        WHERE l.marketplace = b.marketplace AND l.posting = b.posting AND NOT l.rebid_allowed),
    updated_at_ms = t.now_ms, events = b.events + 1
FROM t, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
    AS c(ord, bid, from_state, claim, guard, event_key, to_state, reason, external_ref)
WHERE {guard}
    AND NOT {named}
    AND NOT EXISTS (SELECT 1 FROM bidlock.bids AS o
        WHERE o.marketplace = b.marketplace AND o.posting = b.posting AND NOT o.rebid_allowed AND o.id <> b.id
            AND o.state = 'submitting' AND o.idempotency_key = b.idempotency_key)
RETURNING {moved};
