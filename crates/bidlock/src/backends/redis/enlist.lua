-- Takes a lock if it is free, and otherwise queues for it; repeated by a waiter that polls. After a line that says
-- whether turns are kept (`in_turn`), and hand_over.lua.
--
-- KEYS[1]  the last fencing token, as hand_over.lua wants it
-- KEYS[2]  the lock
-- KEYS[3]  its waiters: a sorted set, in the order in which they came
-- ARGV[1]  the highest token that the caller has seen
-- ARGV[2]  as release.lua's; only used where turns are kept
-- ARGV[3]  what the lock's value begins with under this attempt: holder|nonce|
-- ARGV[4]  its TTL in ms
-- ARGV[5]  this waiter, as hand_over.lua reads it: CHANNEL TTL holder|nonce|
-- ARGV[6]  how long the queue outlives the last word of any waiter, in ms
--
-- Result: the time in microseconds, then the token where the lock was granted (now, or handed over before), or else
-- the lock's value and the ms until it expires.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local prefix, me = ARGV[3], ARGV[5]

local value = redis.pcall('GET', KEYS[2])
if type(value) == 'string' and string.sub(value, 1, #prefix) == prefix then
  redis.call('ZREM', KEYS[3], me)
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  return {now, tonumber(string.match(value, '^%d+', #prefix + 1))}
end

if not value and in_turn then
  -- Whoever came before has it first.
  redis.call('ZADD', KEYS[3], 'NX', now, me)
  if hand_over(KEYS[2], nil, ARGV[1], ARGV[2], me) == true then value = redis.call('GET', KEYS[2]) end
end

if not value then
  local token = next_token(now, tonumber(ARGV[1]))
  redis.call('ZREM', KEYS[3], me)
  local more = redis.call('EXISTS', KEYS[3]) == 1 and '|w' or ''
  redis.call('SET', KEYS[2], prefix .. token .. more, 'PX', ARGV[4])
  return {now, tonumber(token)}
end

local left = redis.call('PTTL', KEYS[2])
redis.call('ZADD', KEYS[3], 'NX', now, me)
redis.call('PEXPIRE', KEYS[3], ARGV[6])
if type(value) ~= 'string' then return {now, '', left} end
-- Only a value of ours is marked: an old client compares its own as a whole.
if left > 0 and string.find(value, '|%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x+|%d+$') then
  redis.call('SET', KEYS[2], value .. '|w', 'PX', left)
end
return {now, value, left}
