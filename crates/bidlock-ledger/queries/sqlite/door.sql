-- The one-way door: counts the attempt, renews the expiry, and for an approved bid takes the claim.
-- Shut while the marketplace has, or may have, another bid on the posting.
-- The cap counts other bids of this marketplace that were first sent since a time.
-- ?1..?7 the guard; ?8 state, ?9 new claim id or null, ?10 its holder, ?11 its instance, ?12 claim until,
-- ?13 reason, ?14 cap or null, ?15 counted since -> the row
UPDATE bids SET
    state = ?8, claim_id = coalesce(?9, claim_id),
    epoch = CASE WHEN ?9 IS NULL THEN epoch ELSE {next_epoch} END,
    holder = CASE WHEN ?9 IS NULL THEN holder ELSE ?10 END,
    instance = CASE WHEN ?9 IS NULL THEN instance ELSE ?11 END,
    claim_boot = ?5, claim_until_ms = ?12, attempts = attempts + 1,
    first_sent_at_ms = coalesce(first_sent_at_ms, ?7), reason = ?13,
    updated_at_ms = ?7, events = events + 1
WHERE {guard} AND NOT {another}
    AND (?14 IS NULL OR first_sent_at_ms IS NOT NULL
        OR (SELECT count(*) FROM bids AS s
            WHERE s.marketplace = bids.marketplace AND s.first_sent_at_ms >= ?15) < ?14)
RETURNING {columns};
