-- The one-way door: counts the attempt, renews the expiry, and for an approved bid takes the claim.
-- Shut while the marketplace has, or may have, another bid on the posting.
-- The cap counts the bids of this marketplace that were last sent since a time and may have arrived. Only a
-- further attempt of a running submission passes without being counted: a bid that came back is a new sending.
-- ?1..?7 the guard; ?8 state, ?9 new claim id or null, ?10 its holder, ?11 its instance, ?12 claim until,
-- ?13 reason, ?14 cap or null, ?15 counted since -> the row
UPDATE bids SET
    state = ?8, claim_id = coalesce(?9, claim_id),
    epoch = CASE WHEN ?9 IS NULL THEN epoch ELSE {next_epoch} END,
    holder = CASE WHEN ?9 IS NULL THEN holder ELSE ?10 END,
    instance = CASE WHEN ?9 IS NULL THEN instance ELSE ?11 END,
    claim_boot = ?5, claim_until_ms = ?12, attempts = attempts + 1,
    first_sent_at_ms = coalesce(first_sent_at_ms, ?7), last_sent_at_ms = ?7, reason = ?13,
    updated_at_ms = ?7, events = events + 1
WHERE {guard} AND NOT {another}
    AND (?14 IS NULL OR ?2 = 'submitting'
        OR (SELECT count(*) FROM bids AS s
            WHERE s.marketplace = bids.marketplace AND s.last_sent_at_ms >= ?15
                AND s.state IN ({sent})) < ?14)
RETURNING {columns};
