-- What a row of ours says by now, as long as it is this claim's. ?1 marketplace, ?2 job id, ?3 status, ?4 claim
UPDATE bidlock_mirror SET status = ?3 WHERE marketplace = ?1 AND job_id = ?2 AND claim = ?4;
