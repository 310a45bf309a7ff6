-- Bids that match, oldest first. {where} is put together from the filter; its values come as $1..
SELECT bidlock.now_ms(), {columns} FROM bidlock.bids AS b WHERE {where} ORDER BY b.id LIMIT {limit};
