-- {durable} in the other files: the time of the statement, and a commit that waits for the disk. A setting that waits
-- for more (remote_apply) is left as it is; a session's own setting would be lost behind a transaction pooler.
SELECT bidlock.now_ms() AS now_ms,
    CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
        THEN set_config('synchronous_commit', 'on', true) END AS forced
