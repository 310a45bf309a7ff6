-- Notes that a row of `bids` is ours, unless a later claim on the posting has noted it since. $1 marketplace, $2 job id,
-- $3 status, $4 claim, $5 the claim's ordinal -> 1 where it is noted
INSERT INTO bidlock_mirror (marketplace, job_id, status, claim, epoch)
VALUES ($1, $2, $3, $4, CAST($5 AS BIGINT))
ON CONFLICT (marketplace, job_id)
DO UPDATE SET status = excluded.status, claim = excluded.claim, epoch = excluded.epoch
    WHERE bidlock_mirror.epoch <= excluded.epoch
RETURNING 1;
