-- A transition that changes neither claim nor expiry nor whether the posting may be bid on again.
-- ?1..?7 the guard; ?8 state, ?9 reason, ?10 external reference, ?11 cause, ?12 approved until (each or null)
-- -> the row
UPDATE bids SET
    state = ?8, reason = ?9, external_ref = coalesce(?10, external_ref),
    unknown_cause = coalesce(?11, unknown_cause), approved_until_ms = coalesce(?12, approved_until_ms),
    updated_at_ms = ?7, events = events + 1
WHERE {guard}
RETURNING {columns};
