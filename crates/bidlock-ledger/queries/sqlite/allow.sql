-- A confirmed withdrawal, or a person's "not submitted": may also free the posting for a new bid, but never
-- while another bid on it is at the marketplace or may be. A flag that is set stays set: a later row may rely
-- on it.
-- ?1..?7 the guard; ?8 state, ?9 reason, ?10 whether a new bid is allowed -> the row
UPDATE bids SET
    state = ?8, reason = ?9, rebid_allowed = rebid_allowed OR (?10 AND NOT {another}),
    updated_at_ms = ?7, events = events + 1
WHERE {guard}
RETURNING {columns};
