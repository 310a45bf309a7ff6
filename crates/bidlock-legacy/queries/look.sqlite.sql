-- What `doctor` tells of the table. ?1 more rows are not counted -> rows
SELECT count(*) FROM (SELECT 1 FROM bids LIMIT ?1);
