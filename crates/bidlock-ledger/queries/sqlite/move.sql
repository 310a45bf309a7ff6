-- A transition that changes neither claim nor expiry nor whether the posting may be bid on again.
-- ?1..?7 the guard; ?8 state, ?9 reason, ?10 cause, ?11 approved until (each or null) -> the row
UPDATE bids SET
    state = ?8, reason = ?9,
    unknown_cause = coalesce(?10, unknown_cause), approved_until_ms = coalesce(?11, approved_until_ms),
    updated_at_ms = ?7, events = events + 1
WHERE {guard}
RETURNING {columns};
