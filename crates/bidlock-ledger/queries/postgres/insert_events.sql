-- Lines of bids' histories. Arrays in the order of the columns.
INSERT INTO bidlock.events (bid, seq, at_ms, action, from_state, to_state, claim_id, epoch, actor, reason, detail,
    event_key, hash)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);
