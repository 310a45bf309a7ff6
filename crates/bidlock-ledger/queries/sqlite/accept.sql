-- The marketplace has the bid: by its yes, in time or late, or a person's word. Never under the marketplace's name of
-- another bid on the posting: one bid there is not counted twice. Where a person had settled it as not submitted, the posting
-- is taken again, unless another row is the live one; then the flag stays set, which is how the caller sees the duplicate.
-- ?1..?7 the guard; ?8 state, ?9 reason, ?10 external reference or null -> the row
UPDATE bids SET
    state = ?8, reason = ?9, external_ref = coalesce(?10, external_ref),
    rebid_allowed = rebid_allowed AND EXISTS (SELECT 1 FROM bids AS l
        WHERE l.marketplace = bids.marketplace AND l.posting = bids.posting AND NOT l.rebid_allowed),
    updated_at_ms = ?7, events = events + 1
WHERE {guard} AND NOT {named}
RETURNING {columns};
