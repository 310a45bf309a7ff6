-- The latest earlier bid on a posting which the marketplace has or may have: no other is made or sent beside it.
-- ?1 marketplace, ?2 posting, ?3 not this one, or null -> the row
SELECT {columns} FROM bids
WHERE marketplace = ?1 AND posting = ?2 AND rebid_allowed AND id IS NOT ?3 AND state IN ({in_use})
ORDER BY epoch DESC LIMIT 1;
