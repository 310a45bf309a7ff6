-- Frees each lock that is still the caller's, or hands it over to whoever waits for it longest.
--
-- KEYS[1]    the last fencing token, kept while the server's clock is behind it
-- KEYS[1+i]  lock i
-- ARGV[1]    the highest token that the caller has seen
-- ARGV[2]    how long a lock that is handed over is held at the most until its new holder renews it, in ms
-- ARGV[2+i]  what lock i's value begins with if it is still the caller's: holder|nonce|; empty: whoever has it
--
-- Result, for each lock in order: 1 released, 0 nobody holds it, 2 somebody else does.
--
-- The waiters for a lock are members of the sorted set bidlock_wait:{LOCK}, in the order in which they came; each
-- reads "CHANNEL TTL holder|nonce|". A lock of ours that has waiters ends in "|w", so that a lock without costs
-- no look. A channel that nobody listens to is a process that has gone: its waiters are passed over. The new holder
-- is told "NOW TOKEN LENGTH LOCK holder|nonce|" with the time and the token in microseconds.

-- The most dead waiters that one release passes over; whoever is left polls.
local MAX_PASSED_OVER = 128

-- A token is the time in microseconds. Only when the clock has gone back does it count on from the last one.
local function next_token(now, seen)
  local last = math.max(seen, tonumber(redis.call('GET', KEYS[1]) or 0))
  local token = string.format('%.0f', math.max(now, last + 1))
  if last >= now then
    redis.call('SET', KEYS[1], token, 'PX', math.ceil((last + 1 - now) / 1000) + 1000)
  end
  return token
end

local function hand_over(key, value)
  local queue = 'bidlock_wait:{' .. key .. '}'
  for _ = 1, MAX_PASSED_OVER do
    local member = redis.call('ZPOPMIN', queue)[1]
    if not member then break end
    local channel, ttl, prefix = string.match(member, '^(%S+) (%d+) (.*)$')
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local ended = type(value) == 'string' and tonumber(string.match(value, '|(%d+)|w$')) or 0
    local token = next_token(now, math.max(tonumber(ARGV[1]), ended))
    local told = string.format('%.0f %s %d %s %s', now, token, #key, key, prefix)
    if redis.call('PUBLISH', channel, told) > 0 then
      local more = redis.call('EXISTS', queue) == 1 and '|w' or ''
      redis.call('SET', key, prefix .. token .. more, 'PX', math.min(tonumber(ttl), tonumber(ARGV[2])))
      return
    end
  end
  redis.call('DEL', key)
end

local answers = {}
for i = 1, #KEYS - 1 do
  local key, prefix = KEYS[1 + i], ARGV[2 + i]
  local value = redis.pcall('GET', key)
  if not value then
    answers[i] = 0
  elseif prefix == '' then
    -- By force: an old client's lock carries no mark, and a key of another type is removed like any other.
    hand_over(key, value)
    answers[i] = 1
  elseif type(value) == 'string' and string.sub(value, 1, #prefix) == prefix then
    if string.sub(value, -2) == '|w' then hand_over(key, value) else redis.call('DEL', key) end
    answers[i] = 1
  else
    answers[i] = 2
  end
end
return answers
