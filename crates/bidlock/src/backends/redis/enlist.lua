-- Takes a lock if it is free, and otherwise queues for it; repeated by a waiter that polls.
--
-- KEYS[1]  the last fencing token, kept while the server's clock is behind it
-- KEYS[2]  the lock
-- KEYS[3]  its waiters: a sorted set, in the order in which they came
-- ARGV[1]  the highest token that the caller has seen
-- ARGV[2]  what the lock's value begins with under this attempt: holder|nonce|
-- ARGV[3]  its TTL in ms
-- ARGV[4]  this waiter, as release.lua reads it: CHANNEL TTL holder|nonce|
-- ARGV[5]  how long the queue outlives the last word of any waiter, in ms
--
-- Result: the time in microseconds, then the token where the lock was granted (now, or handed over before), or else
-- the lock's value and the ms until it expires.
-- A token is the time in microseconds. Only when the clock has gone back does it count on from the last one.
local function next_token(now, seen)
  local last = math.max(seen, tonumber(redis.call('GET', KEYS[1]) or 0))
  local token = string.format('%.0f', math.max(now, last + 1))
  if last >= now then
    redis.call('SET', KEYS[1], token, 'PX', math.ceil((last + 1 - now) / 1000) + 1000)
  end
  return token
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local prefix = ARGV[2]

local value = redis.pcall('GET', KEYS[2])
if type(value) == 'string' and string.sub(value, 1, #prefix) == prefix then
  redis.call('ZREM', KEYS[3], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  return {now, tonumber(string.match(value, '^%d+', #prefix + 1))}
end

if not value then
  local token = next_token(now, tonumber(ARGV[1]))
  redis.call('ZREM', KEYS[3], ARGV[4])
  local more = redis.call('EXISTS', KEYS[3]) == 1 and '|w' or ''
  redis.call('SET', KEYS[2], prefix .. token .. more, 'PX', ARGV[3])
  return {now, tonumber(token)}
end

local left = redis.call('PTTL', KEYS[2])
redis.call('ZADD', KEYS[3], 'NX', now, ARGV[4])
redis.call('PEXPIRE', KEYS[3], ARGV[5])
if type(value) ~= 'string' then return {now, '', left} end
-- Only a value of ours is marked: an old client compares its own as a whole.
if left > 0 and string.find(value, '|%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x+|%d+$') then
  redis.call('SET', KEYS[2], value .. '|w', 'PX', left)
end
return {now, value, left}
