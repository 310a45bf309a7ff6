-- Takes each lock that is free, and shows who has the others. After a line that says whether turns are kept
-- (`in_turn`), and if they are, after hand_over.lua.
--
-- KEYS[1]     the last fencing token, kept while the server's clock is behind it
-- KEYS[1+i]   lock i
-- ARGV[1]     the highest token that the caller has seen
-- ARGV[2]     as release.lua's; only used where turns are kept
-- ARGV[2i+1]  what lock i's value begins with under this attempt: holder|nonce|
-- ARGV[2i+2]  its TTL in ms
--
-- Result, for each lock in order: its token where it was granted, now or before under the same attempt (which then
-- has a full TTL again); otherwise its value and the ms until it expires.
--
-- A token is the time in microseconds, one for the whole call. Only when the clock has gone back does it count on
-- from the last one.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = math.max(tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or 0))
local token = math.max(now, last + 1)
local text = string.format('%.0f', token)
local taken = false

local answers = {}
for i = 1, #KEYS - 1 do
  local key, prefix, ttl = KEYS[1 + i], ARGV[2 * i + 1], ARGV[2 * i + 2]
  if in_turn and redis.call('EXISTS', key) == 0 then hand_over(key, nil, ARGV[1], ARGV[2]) end
  if redis.call('SET', key, prefix .. text, 'PX', ttl, 'NX') then
    answers[i] = token
    taken = true
  else
    -- A key that is no string is somebody else's, and is taken all the same.
    local value = redis.pcall('GET', key)
    if type(value) == 'string' and string.sub(value, 1, #prefix) == prefix then
      redis.call('PEXPIRE', key, ttl)
      answers[i] = tonumber(string.match(value, '^%d+', #prefix + 1))
    else
      answers[i] = {type(value) == 'string' and value or '', redis.call('PTTL', key)}
    end
  end
end

if taken and token > now then
  redis.call('SET', KEYS[1], text, 'PX', math.ceil((token - now) / 1000) + 1000)
end
return answers
