-- Another scanner takes the row with a new claim. A row that was ever sent or approved keeps its payload;
-- where it goes is the new claimant's to say, as nothing was accepted there, unless a person approved it.
-- Nobody takes it to send it beside another bid that the marketplace has or may have.
-- ?1..?7 the guard; ?8 state, ?9 claim id, ?10 holder, ?11 instance, ?12 claim until,
-- ?13 amount, ?14 currency, ?15 url, ?16 via, ?17 evaluation, ?18 proposal -> the row
UPDATE bids SET
    state = ?8, claim_id = ?9, epoch = {next_epoch}, holder = ?10, instance = ?11,
    claim_boot = ?5, claim_until_ms = ?12, reason = NULL, updated_at_ms = ?7, events = events + 1,
    amount_minor = CASE WHEN {frozen} THEN amount_minor ELSE ?13 END,
    currency     = CASE WHEN {frozen} THEN currency     ELSE ?14 END,
    posting_url  = CASE WHEN {frozen} THEN posting_url  ELSE ?15 END,
    via          = CASE WHEN approved_until_ms IS NOT NULL THEN via ELSE ?16 END,
    evaluation   = CASE WHEN {frozen} THEN evaluation   ELSE ?17 END,
    proposal     = CASE WHEN {frozen} THEN proposal     ELSE ?18 END
WHERE {guard} AND NOT {another}
RETURNING {columns};
