-- Whether the tables are there and the write lock can be had; run in a write transaction. Arguments: none. One row.
SELECT last FROM bidlock_token WHERE one = 1;
