-- A confirmed withdrawal, or a person's "not submitted": may also free the posting for a new bid, but never while
-- another bid on it is at the marketplace or may be. A flag that is set stays set: a later row may rely on it.
-- $1..$8 as in move.sql; $9 whether a new bid is allowed -> see moved.sql
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.bids AS b SET
    state = c.to_state, reason = c.reason, rebid_allowed = b.rebid_allowed OR (c.allowed AND NOT {another}),
    updated_at_ms = t.now_ms, events = b.events + 1
FROM t, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
    AS c(ord, bid, from_state, claim, guard, event_key, to_state, reason, allowed)
WHERE {guard}
RETURNING {moved};
