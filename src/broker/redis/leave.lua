#!lua flags=allow-oom
-- A node consumes from a queue no more, or is dead: what it holds goes back. A queue with neither
-- messages nor consumers is deleted.
-- KEYS: the queue's stream, the queues of the node, the nodes. ARGV: the node, the queue, its channel,
-- and 1 if the node is dead.
local stream, node, dead = KEYS[1], ARGV[1], ARGV[4] == '1'
if dead and redis.call('ZSCORE', KEYS[3], node) ~= '0' then
  -- It has come back.
  return 0
end
redis.call('SREM', KEYS[2], ARGV[2])
if dead and redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[3], node)
end

local held = redis.pcall('XPENDING', stream, 'nodes', '-', '+', 1000, node)
if held.err then
  -- Somebody has deleted it.
  return 0
end
local any = false
while #held > 0 do
  any = true
  for _, pending in ipairs(held) do
    redis.call('XCLAIM', stream, 'nodes', 'returned', 0, pending[1], 'JUSTID')
  end
  held = redis.call('XPENDING', stream, 'nodes', '-', '+', 1000, node)
end
redis.call('XGROUP', 'DELCONSUMER', stream, 'nodes', node)
if any then
  redis.call('PUBLISH', ARGV[3], '')
elseif redis.call('XLEN', stream) == 0 then
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, 'nodes')) do
    if consumer[2] ~= 'returned' then
      return 1
    end
  end
  redis.call('DEL', stream)
end
return 1
