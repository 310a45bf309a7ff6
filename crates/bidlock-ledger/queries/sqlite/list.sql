-- Bids that match, oldest first. {where} is put together from the filter; its values come as ?1..
SELECT {columns} FROM bids WHERE {where} ORDER BY id LIMIT {limit};
