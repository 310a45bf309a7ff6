-- Gives each lease that is still held a full TTL.
--
-- KEYS[i]    lock i
-- ARGV[1]    the TTL in ms
-- ARGV[1+i]  what lock i's value begins with if it is still the caller's: holder|nonce|
--
-- Result, for each lock in order: 1 where it was renewed, 0 where it is no longer held.
local answers = {}
for i = 1, #KEYS do
  local prefix = ARGV[1 + i]
  local value = redis.pcall('GET', KEYS[i])
  if type(value) == 'string' and string.sub(value, 1, #prefix) == prefix then
    answers[i] = redis.call('PEXPIRE', KEYS[i], ARGV[1])
  else
    answers[i] = 0
  end
end
return answers
