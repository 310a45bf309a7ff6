-- A part of the table, in the order of making. ?1 after this rowid, ?2 how many -> the row, mirrored, rowid
SELECT {columns}, {mirrored}, b.rowid FROM bids AS b WHERE b.rowid > ?1 ORDER BY b.rowid LIMIT ?2;
