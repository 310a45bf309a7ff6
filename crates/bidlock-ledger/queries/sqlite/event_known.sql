-- Whether a request was recorded before.
-- ?1 bid, ?2 event key
SELECT 1 FROM events WHERE bid = ?1 AND event_key = ?2;
