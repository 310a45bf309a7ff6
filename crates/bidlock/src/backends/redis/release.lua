-- Frees each lock that is still the caller's, or hands it over to whoever waits for it longest. After hand_over.lua.
--
-- KEYS[1]    the last fencing token, as hand_over.lua wants it
-- KEYS[1+i]  lock i
-- ARGV[1]    the highest token that the caller has seen
-- ARGV[2]    how long a lock that is handed over is held at the most until its new holder renews it, in ms
-- ARGV[2+i]  lock i's value if it is still the caller's; or what it begins with: holder|nonce|; empty: whoever has it
--
-- Result, for each lock in order: 1 freed, 3 handed over, 0 nobody holds it, 2 somebody else does.
--
-- A lock of ours that has waiters ends in "|w", so that a lock without costs no look.

local function free(key, value)
  if hand_over(key, value, ARGV[1], ARGV[2]) then return 3 end
  redis.call('DEL', key)
  return 1
end

local answers = {}
for i = 1, #KEYS - 1 do
  local key, proof = KEYS[1 + i], ARGV[2 + i]
  local value = redis.pcall('GET', key)
  if value == proof then
    redis.call('DEL', key)
    answers[i] = 1
  elseif not value then
    answers[i] = 0
  elseif proof == '' then
    -- By force: an old client's lock carries no mark, and a key of another type is removed like any other.
    answers[i] = free(key, value)
  elseif type(value) == 'string' and string.sub(value, 1, #proof) == proof then
    if string.sub(value, -2) == '|w' then
      answers[i] = free(key, value)
    else
      redis.call('DEL', key)
      answers[i] = 1
    end
  else
    answers[i] = 2
  end
end
return answers
