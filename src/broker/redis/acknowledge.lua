#!lua flags=allow-oom
-- Messages of a queue are done with.
-- KEYS: the queue's stream. ARGV: their places.
redis.call('XACK', KEYS[1], 'nodes', unpack(ARGV))
return redis.call('XDEL', KEYS[1], unpack(ARGV))
