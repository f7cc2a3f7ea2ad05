/**
 * The Lua that runs inside Redis: what has to read and write as one. Every moment in it is Redis' own TIME, so that the clocks of
 * the sidecars need not agree. Each script's keys belong to one slot of a cluster. Redis 7, Valkey.
 */
import type { Result } from 'ioredis'

const now = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/** The key of slots lives as long as the longest of its leases: its life is never made shorter by a short one. */
const keep = `
local function keep(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end`

/** By name, as ioredis wants them. The first use on a connection is an EVAL, all others are EVALSHA. */
export const redisScripts = {
  /** KEYS key … ARGV value, ttl for each. */
  posternSet: {
    lua: `
for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i]) end`,
  },
  /** KEYS key ARGV value, ttl. The number is given back as it is written, to the last digit. */
  posternRaise: {
    numberOfKeys: 1,
    lua: `
local there = redis.call('GET', KEYS[1])
local ttl = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
local value = ARGV[1]
if there and tonumber(there) and tonumber(there) > tonumber(value) then value = there end
redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', ttl))
return value`,
  },
  /** KEYS key ARGV by, ttl. */
  posternIncrement: {
    numberOfKeys: 1,
    lua: `
local sum = redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum`,
  },
  /** KEYS key ARGV holder, limit, ttl. The score of a holder is the moment at which its lease ends. */
  posternAcquire: {
    numberOfKeys: 1,
    lua: `${now}${keep}
local key, holder, limit, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if not redis.call('ZSCORE', key, holder) and redis.call('ZCARD', key) >= limit then return 0 end
redis.call('ZADD', key, now + ttl, holder)
keep(key, ttl)
return 1`,
  },
  /** KEYS key … ARGV ttl, then the holder of each. */
  posternRenew: {
    lua: `${now}${keep}
local ttl = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ttl, ARGV[i + 1])
  keep(key, ttl)
end`,
  },
  /** KEYS key … Reads only: what has ended is not counted, and is dropped by the next that acquires. */
  posternCount: {
    lua: `${now}
local after = string.format('(%.0f', now)
local counts = {}
for i, key in ipairs(KEYS) do counts[i] = redis.call('ZCOUNT', key, after, '+inf') end
return counts`,
  },
}

declare module 'ioredis' {
  interface RedisCommander<Context> {
    posternSet(keys: number, ...args: (string | number)[]): Result<null, Context>
    posternRaise(key: string, value: number, ttl: number): Result<string, Context>
    posternIncrement(key: string, by: number, ttl: number): Result<string, Context>
    posternAcquire(key: string, holder: string, limit: number, ttl: number): Result<number, Context>
    posternRenew(keys: number, ...args: (string | number)[]): Result<null, Context>
    posternCount(keys: number, ...args: string[]): Result<number[], Context>
  }
}
