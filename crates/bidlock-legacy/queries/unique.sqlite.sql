-- Whether no two rows have marketplace, job and status in common: a unique index over some of these columns alone, and
-- over all rows. -> whether there is one
SELECT EXISTS (
    SELECT 1 FROM pragma_index_list('bids') AS i WHERE i."unique" = 1 AND i.partial = 0
        AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name) AS c
            WHERE c.name IS NULL OR c.name NOT IN ('marketplace', 'job_id', 'status'))
);
