-- A row of ours has gone. $1 marketplace, $2 job id
DELETE FROM bidlock_mirror WHERE marketplace = $1 AND job_id = $2;
