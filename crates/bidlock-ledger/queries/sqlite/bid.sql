-- One bid.
-- ?1 id -> the row
SELECT {columns} FROM bids WHERE id = ?1;
