-- A row's proposal. ?1 marketplace, ?2 job id, ?3 status
SELECT CAST(proposal AS TEXT) FROM bids WHERE marketplace = ?1 AND job_id = ?2 AND status = ?3 LIMIT 1;
