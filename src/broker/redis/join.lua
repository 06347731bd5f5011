#!lua flags=allow-oom
-- A node begins to consume from a queue.
-- KEYS: the queue's stream, the queues of the node. ARGV: the queue.
redis.call('SADD', KEYS[2], ARGV[1])
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], 'nodes', '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then
  return made
end
return 1
