-- Returns the value of KEYS[1] and the time, in the same form as a swap that found another value.
local time = redis.call('TIME')
return {0, time[1], time[2], redis.call('GET', KEYS[1]), false}
