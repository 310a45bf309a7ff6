-- Rows that were not changed, to say why; and whether the change's event key is known.
-- $1 ordinals, $2 bids, $3 event keys or null -> ordinal, the time, known, the row
SELECT c.ord, bidlock.now_ms(),
    EXISTS (SELECT 1 FROM bidlock.events AS k WHERE k.bid = b.id AND k.event_key = c.event_key), {columns}
FROM unnest($1, $2, $3) AS c(ord, bid, event_key) JOIN bidlock.bids AS b ON b.id = c.bid;
