-- Notes that a row of `bids` is ours. $1 marketplace, $2 job id, $3 status, $4 claim
INSERT INTO bidlock_mirror (marketplace, job_id, status, claim) VALUES ($1, $2, $3, $4)
ON CONFLICT (marketplace, job_id) DO UPDATE SET status = excluded.status, claim = excluded.claim;
