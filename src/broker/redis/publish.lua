-- Keeps a message in the stream of its destination, and publishes it with its place there.
-- KEYS: the stream. ARGV: the channel, the message, and of the messages that are kept the most, the
-- milliseconds that each is kept, and the most bytes.
local stream = KEYS[1]
local id = redis.call('XADD', stream, 'MAXLEN', ARGV[3], '*', 'm', ARGV[2])
local oldest = tonumber(string.match(id, '^%d+')) - tonumber(ARGV[4])
if oldest > 0 then
  redis.call('XTRIM', stream, 'MINID', string.format('%.0f', oldest))
end
local kept = redis.call('XLEN', stream)
while kept > 0 and redis.call('MEMORY', 'USAGE', stream) > tonumber(ARGV[5]) do
  kept = math.floor(kept * 0.9)
  redis.call('XTRIM', stream, 'MAXLEN', kept)
end
-- An hour longer, so that whoever comes back then is known to have missed nothing.
redis.call('PEXPIRE', stream, string.format('%.0f', tonumber(ARGV[4]) + 3600000))
redis.call('PUBLISH', ARGV[1], 'token:' .. id .. '\n' .. ARGV[2])
return id
