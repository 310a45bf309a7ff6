-- Transitions that change neither claim nor expiry nor whether the posting may be bid on again.
-- $1 ordinals, $2 bids, $3 states that they leave, $4 claims, $5 guards by name, $6 event keys, $7 states, $8 reasons,
-- $9 causes, $10 how long an approval holds in ms -> see moved.sql
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.bids AS b SET
    state = c.to_state, reason = c.reason, unknown_cause = coalesce(c.cause, b.unknown_cause),
    approved_until_ms = coalesce(t.now_ms + c.valid_ms, b.approved_until_ms),
    updated_at_ms = t.now_ms, events = b.events + 1
FROM t, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    AS c(ord, bid, from_state, claim, guard, event_key, to_state, reason, cause, valid_ms)
WHERE {guard}
RETURNING {moved};
