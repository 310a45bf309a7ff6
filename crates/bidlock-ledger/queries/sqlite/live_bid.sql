-- The live bid of a posting.
-- ?1 marketplace, ?2 posting -> the row
SELECT {columns} FROM bids WHERE marketplace = ?1 AND posting = ?2 AND NOT rebid_allowed;
