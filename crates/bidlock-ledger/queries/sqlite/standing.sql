-- What a scanner needs to know of a posting: short columns of the live row.
-- ?1 marketplace, ?2 posting
SELECT id, state, claim_id, holder, claim_boot, claim_until_ms, approved_until_ms, created_at_ms
FROM bids WHERE marketplace = ?1 AND posting = ?2 AND NOT rebid_allowed;
