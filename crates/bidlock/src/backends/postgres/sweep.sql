-- Takes out the rows of one part that have been free for a while. $1 the key it starts after, $2 how many rows it may
-- look at, $3 for how many microseconds a free row is kept -> the last key of the part, or null at the end
WITH part AS MATERIALIZED (SELECT p.key FROM bidlock.lease AS p WHERE p.key > $1 ORDER BY p.key LIMIT $2),
gone AS (
    DELETE FROM bidlock.lease AS l USING part AS p
    WHERE l.key = p.key
        AND l.deadline_us < (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT - $3)
SELECT max(key) FROM part;
