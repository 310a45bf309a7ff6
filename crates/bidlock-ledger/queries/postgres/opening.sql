-- What a binary must know before it works with this ledger.
-- -> its id, the oldest protocol that may, the server's time
SELECT id, protocol_floor, bidlock.now_ms() FROM bidlock.ledger WHERE one = 1;
