-- {mirrored} in the other files: the row is one of ours, as we last wrote it.
EXISTS (SELECT 1 FROM bidlock_mirror AS m WHERE m.marketplace = CAST(b.marketplace AS TEXT)
    AND m.job_id = CAST(b.job_id AS TEXT) AND m.status = CAST(b.status AS TEXT))
