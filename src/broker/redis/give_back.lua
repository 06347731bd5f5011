#!lua flags=allow-oom
-- Puts messages of a queue that a node holds back in their old places.
-- KEYS: the queue's stream. ARGV: the node, the queue's channel, and of each message its place and how
-- often it may have reached a consumer.
local stream, node = KEYS[1], ARGV[1]
local any = false
for place = 3, #ARGV, 2 do
  local id, attempts = ARGV[place], ARGV[place + 1]
  -- Unless somebody else has it by now, or the whole stream is gone.
  local held = redis.pcall('XPENDING', stream, 'nodes', id, id, 1, node)
  if not held.err and #held > 0 then
    redis.call('XCLAIM', stream, 'nodes', 'returned', 0, id, 'RETRYCOUNT', attempts, 'JUSTID')
    any = true
  end
end
if any then
  redis.call('PUBLISH', ARGV[2], '')
end
return 1
