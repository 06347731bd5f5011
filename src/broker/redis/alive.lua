#!lua flags=allow-oom
-- A node says that it is alive, and asks who is not: whoever has not said so for too long counts as
-- dead. Returns whether the node itself was known and not dead, and the dead who consumed from queues.
-- KEYS: the nodes. ARGV: the node, 1 if it is to be known in any case, the milliseconds after which one
-- is dead or nothing to ask for none, and what begins the keys of the queues of nodes.
local nodes, node = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = redis.call('ZSCORE', nodes, node)
local known = seen and seen ~= '0'
if known or ARGV[2] == '1' then
  redis.call('ZADD', nodes, string.format('%.0f', now), node)
end
local dead = {}
if known and ARGV[3] ~= '' then
  local late = string.format('%.0f', now - ARGV[3])
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', late)) do
    if redis.call('EXISTS', ARGV[4] .. other) == 1 then
      redis.call('ZADD', nodes, 0, other)
      dead[#dead + 1] = other
    else
      redis.call('ZREM', nodes, other)
    end
  end
end
return {known and 1 or 0, dead}
