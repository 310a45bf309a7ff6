-- The rows under many names. $1 marketplaces, $2 job ids -> the row, mirrored
SELECT {columns}, {mirrored} FROM bids AS b
JOIN unnest($1, $2) AS w(marketplace, job_id)
    ON CAST(b.marketplace AS TEXT) = w.marketplace AND CAST(b.job_id AS TEXT) = w.job_id;
