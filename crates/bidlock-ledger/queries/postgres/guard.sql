-- The condition of every guarded UPDATE: {guard} in the other files. `c` is the change, `t` the time; a change whose
-- event key is known has been made before.
b.id = c.bid AND b.state = c.from_state AND b.claim_id = c.claim AND CASE c.guard
    WHEN 'claim'            THEN TRUE
    WHEN 'live'             THEN b.claim_until_ms > t.now_ms
    WHEN 'expired'          THEN b.claim_until_ms <= t.now_ms
    WHEN 'approval_live'    THEN b.approved_until_ms > t.now_ms
    WHEN 'approval_expired' THEN b.approved_until_ms <= t.now_ms
    WHEN 'was_approved'     THEN b.approved_until_ms IS NOT NULL AND b.unknown_cause IS DISTINCT FROM 'legacy'
    WHEN 'never_approved'   THEN b.approved_until_ms IS NULL AND b.unknown_cause IS DISTINCT FROM 'legacy'
    ELSE FALSE
END
AND (c.event_key IS NULL
    OR NOT EXISTS (SELECT 1 FROM bidlock.events AS k WHERE k.bid = b.id AND k.event_key = c.event_key))
