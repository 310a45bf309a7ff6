-- What is left of a posting's earlier bids, which a new row must follow.
-- ?1 marketplace, ?2 posting -> highest epoch or 0, number of confirmed withdrawals
SELECT coalesce(max(epoch), 0), count(*) FILTER (WHERE state = 'withdrawn')
FROM bids WHERE marketplace = ?1 AND posting = ?2 AND rebid_allowed;
