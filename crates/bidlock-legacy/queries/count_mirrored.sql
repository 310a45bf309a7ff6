-- How many rows of `bids` are ours; more than {limit} are not counted. -> rows
SELECT count(*) FROM (SELECT 1 FROM bidlock_mirror LIMIT {limit}) AS counted
