-- Replaces the value of KEYS[1] by ARGV[3] for ARGV[4] milliseconds, if it is still ARGV[2] (ARGV[1]
-- is "1"), or if there is none (ARGV[1] is "0"). Publishes the new value to the channels from ARGV[5] on.
-- Returns whether it was replaced, the time, the other value, and why a channel could not be reached.
local value = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local is_expected = not value
if ARGV[1] == '1' then
    is_expected = value == ARGV[2]
end
if not is_expected then
    return {0, time[1], time[2], value, false}
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
local failure = false
for index = 5, #ARGV do
    -- The value is replaced, whether or not this user may publish.
    local published = redis.pcall('PUBLISH', ARGV[index], ARGV[3])
    if type(published) == 'table' and published.err then
        failure = published.err
    end
end
return {1, time[1], time[2], false, failure}
