-- Says which ledger the scanners on this server share, and keeps that on.
--
-- KEYS[1]  the ledger's id
-- ARGV[1]  the caller's ledger
-- ARGV[2]  how long it is remembered after the last caller, in ms
-- ARGV[3]  1 to put the caller's in another's place
--
-- Result: the id that is kept there now.
local known = redis.call('GET', KEYS[1])
if known and known ~= ARGV[1] and ARGV[3] ~= '1' then return known end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
