-- Gives a lock to whoever waits for it longest; stands before the scripts that do so.
--
-- KEYS[1]  in all of them: the last fencing token, kept while the server's clock is behind it
--
-- The waiters for a lock are members of the sorted set bidlock_wait:{LOCK}, in the order in which they came; each
-- reads "CHANNEL TTL holder|nonce|". A channel that nobody listens to is a process that has gone: its waiters are
-- passed over. The new holder is told "NOW TOKEN holder|nonce|", with time and token in microseconds.

-- The most dead waiters that one call passes over; whoever is left polls.
local MAX_PASSED_OVER = 128

-- The queue of a lock. What stands before the name of all keys stands before the token's as well.
local function queue_of(key)
  return string.gsub(KEYS[1], 'bidlock:token$', '') .. 'bidlock_wait:{' .. key .. '}'
end

-- A token is the time in microseconds. Only when the clock has gone back does it count on from the last one.
local function next_token(now, seen)
  local last = math.max(seen, tonumber(redis.call('GET', KEYS[1]) or 0))
  local token = string.format('%.0f', math.max(now, last + 1))
  if last >= now then
    redis.call('SET', KEYS[1], token, 'PX', math.ceil((last + 1 - now) / 1000) + 1000)
  end
  return token
end

-- Makes the longest waiter that lives the holder. `ended` is what the lock's value was, `seen` the highest token that
-- the caller has seen, `short_ms` how long the lock is held at the most until its new holder renews it.
-- Result: true where somebody has it now; 'me' where it is the turn of the waiter `me`; false where nobody is left.
local function hand_over(key, ended, seen, short_ms, me)
  local queue = queue_of(key)
  for _ = 1, MAX_PASSED_OVER do
    local member = redis.call('ZPOPMIN', queue)[1]
    if not member then return false end
    if member == me then return 'me' end
    local channel, ttl, prefix = string.match(member, '^(%S+) (%d+) (.*)$')
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local last = type(ended) == 'string' and tonumber(string.match(ended, '|(%d+)|w$')) or 0
    local token = next_token(now, math.max(tonumber(seen), last))
    local told = string.format('%.0f %s %s', now, token, prefix)
    if redis.call('PUBLISH', channel, told) > 0 then
      local more = redis.call('EXISTS', queue) == 1 and '|w' or ''
      redis.call('SET', key, prefix .. token .. more, 'PX', math.min(tonumber(ttl), tonumber(short_ms)))
      return true
    end
  end
  return false
end
