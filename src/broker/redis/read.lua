#!lua flags=allow-oom
-- Hands messages of a queue to a node: first those that were given back, then those that nobody had,
-- both in their order. Returns them, each with how often it may have reached a consumer, and whether
-- there may be more.
-- KEYS: the queue's stream, the nodes. ARGV: the node, the most messages, the bytes after which no
-- more are taken.
local stream, node = KEYS[1], ARGV[1]
local most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local seen = redis.call('ZSCORE', KEYS[2], node)
if not seen or seen == '0' then
  return redis.error_reply('GONE this node is taken for dead')
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local messages, bytes = {}, 0

local function take(id, attempts, fields)
  local lasts = fields[3] == 'x' and tonumber(fields[4])
  if lasts and string.match(id, '^%d+') + lasts < now then
    redis.call('XACK', stream, 'nodes', id)
    redis.call('XDEL', stream, id)
  else
    messages[#messages + 1] = {id, attempts, fields[2]}
    bytes = bytes + #fields[2]
  end
end

for _, pending in ipairs(redis.call('XPENDING', stream, 'nodes', '-', '+', most, 'returned')) do
  if bytes >= most_bytes then
    return {messages, 1}
  end
  local id, attempts = pending[1], pending[4]
  local claimed = redis.call('XCLAIM', stream, 'nodes', node, 0, id, 'RETRYCOUNT', attempts + 1)
  if claimed[1] then
    take(id, attempts, claimed[1][2])
  end
end
while #messages < most and bytes < most_bytes do
  local count = math.min(most - #messages, 16)
  local read = redis.call('XREADGROUP', 'GROUP', 'nodes', node, 'COUNT', count, 'STREAMS', stream, '>')
  if not read then
    return {messages, 0}
  end
  for _, entry in ipairs(read[1][2]) do
    take(entry[1], 0, entry[2])
  end
end
return {messages, 1}
