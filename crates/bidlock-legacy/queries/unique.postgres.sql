-- Whether no two rows have marketplace, job and status in common: a unique index over some of these columns alone, and
-- over all rows. -> whether there is one
SELECT EXISTS (
    SELECT 1 FROM pg_index AS i
    WHERE i.indrelid = to_regclass('bids') AND i.indisunique AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL
        AND NOT EXISTS (SELECT 1 FROM generate_series(0, i.indnkeyatts - 1) AS k(at)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at]
            WHERE a.attname NOT IN ('marketplace', 'job_id', 'status'))
);
