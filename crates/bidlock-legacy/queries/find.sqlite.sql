-- The rows under one name. ?1 marketplace, ?2 job id -> the row, mirrored
SELECT {columns}, {mirrored} FROM bids AS b WHERE b.marketplace = ?1 AND b.job_id = ?2;
