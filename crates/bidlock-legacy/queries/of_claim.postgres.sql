-- The rows that a claim mirrored last. $1 the claim -> marketplace, job id, status
SELECT marketplace, job_id, status FROM bidlock_mirror WHERE claim = $1;
