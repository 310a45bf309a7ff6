-- The marketplace has the bid: by its yes, in time or late, or a person's word. Never under the marketplace's name of
-- another bid on the posting: one bid there is not counted twice. Where a person had settled it as not submitted, the posting
-- is taken again, unless another row is the live one; then the flag stays set, which is how the caller sees the duplicate.
-- $1..$8 as in move.sql; $9 external references -> see moved.sql
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.bids AS b SET
    state = c.to_state, reason = c.reason, external_ref = coalesce(c.external_ref, b.external_ref),
    rebid_allowed = b.rebid_allowed AND EXISTS (SELECT 1 FROM bidlock.bids AS l
        WHERE l.marketplace = b.marketplace AND l.posting = b.posting AND NOT l.rebid_allowed),
    updated_at_ms = t.now_ms, events = b.events + 1
FROM t, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
    AS c(ord, bid, from_state, claim, guard, event_key, to_state, reason, external_ref)
WHERE {guard} AND NOT {named}
RETURNING {moved};
