-- The condition of every guarded UPDATE: {guard} in the other files.
-- ?1 bid, ?2 state that it leaves, ?3 claim id, ?4 guard by name, ?5 boot id, ?6 boot time, ?7 wall time
id = ?1 AND state = ?2 AND claim_id = ?3 AND CASE ?4
    WHEN 'claim'            THEN TRUE
    WHEN 'live'             THEN claim_boot = ?5 AND claim_until_ms > ?6
    WHEN 'expired'          THEN claim_boot <> ?5 OR claim_until_ms <= ?6
    WHEN 'approval_live'    THEN approved_until_ms > ?7
    WHEN 'approval_expired' THEN approved_until_ms <= ?7
    WHEN 'was_approved'     THEN approved_until_ms IS NOT NULL AND unknown_cause IS NOT 'legacy'
    WHEN 'never_approved'   THEN approved_until_ms IS NULL AND unknown_cause IS NOT 'legacy'
    ELSE FALSE
END
