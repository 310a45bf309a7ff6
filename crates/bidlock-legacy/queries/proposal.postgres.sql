-- Rows' proposals. $1 marketplaces, $2 job ids, $3 statuses -> which of them, its proposal
SELECT w.ord, CAST(b.proposal AS TEXT) FROM unnest($1, $2, $3) WITH ORDINALITY AS w(marketplace, job_id, status, ord)
JOIN bids AS b ON CAST(b.marketplace AS TEXT) = w.marketplace AND CAST(b.job_id AS TEXT) = w.job_id
    AND CAST(b.status AS TEXT) = w.status;
