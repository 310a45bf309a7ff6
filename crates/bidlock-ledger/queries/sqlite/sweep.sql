-- Rows of one state whose claim (or approval) has expired, and since when they have not moved.
-- ?1 state, ?2 boot id, ?3 boot time, ?4 wall time, ?5 at most so many -> short columns
SELECT id, claim_id, holder, claim_boot = ?2, ?3 - claim_until_ms,
    strftime('%Y-%m-%dT%H:%M:%SZ', updated_at_ms / 1000, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%SZ', approved_until_ms / 1000, 'unixepoch')
FROM bids
WHERE state = ?1 AND CASE ?1
    WHEN 'approved' THEN approved_until_ms <= ?4
    ELSE claim_boot <> ?2 OR claim_until_ms <= ?3
END
ORDER BY id LIMIT ?5;
