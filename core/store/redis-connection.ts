/** Makes the ioredis clients, one server or a cluster, with the settings that an outage asks for. */
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { RedisAddress, RedisNode } from './redis-address.ts'
import { redisScripts } from './redis-scripts.ts'

/** For a server whose certificate is not signed by one of Node's authorities. NODE_EXTRA_CA_CERTS serves as well. */
export interface RedisTls {
  readonly ca?: string | Buffer
}

/** Nothing came while something was waited for, in ms: the peer is gone without a word, and the connection with it. */
export const silence = 1000

/** How long a connection may take to be made, in ms. Nobody waits for it: commands are refused meanwhile. */
const connectLimit = 1000

/** How long, in ms, a closing connection may take to say goodbye. */
const goodbye = 100

/** In ms: 50, 100, 200 … up to 2 000, each times a random factor between 0.5 and 1; never gives up. `attempt` counts from 1. */
export function backoff(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 10), 2000) * (0.5 + Math.random() / 2)
}

/** One connection to one server. It tries again for ever, unless `retryStrategy` is null. */
export function connect(
  { host, port }: RedisNode,
  address: RedisAddress,
  tls: RedisTls | undefined,
  options: RedisOptions = {},
): Redis {
  return new Redis({ ...connectionOptions(address, tls), host, port, retryStrategy: backoff, ...options })
}

/** Connections to all masters of a cluster. */
export function connectCluster(address: RedisAddress, tls: RedisTls | undefined): Cluster {
  return new Cluster([...address.nodes], {
    scripts: redisScripts,
    // Of a TLS cluster the names matter, not the addresses they stand for: certificates are made out to names.
    ...(address.isTls && { dnsLookup: (name, callback) => callback(null, name) }),
    clusterRetryStrategy: backoff,
    enableOfflineQueue: false,
    slotsRefreshTimeout: connectLimit,
    // Resharding shows by MOVED at once; this finds what no command has run into.
    slotsRefreshInterval: 30_000,
    // A command whose node is away is asked again within its time limit, and not long after.
    retryDelayOnFailover: 20,
    retryDelayOnClusterDown: 50,
    retryDelayOnTryAgain: 20,
    maxRedirections: 5,
    redisOptions: connectionOptions(address, tls),
  })
}

function connectionOptions(address: RedisAddress, tls: RedisTls | undefined): RedisOptions {
  return {
    username: address.username ?? undefined,
    password: address.password ?? undefined,
    db: address.db,
    ...(address.isTls && { tls: { ...tls } }),
    scripts: redisScripts,
    connectTimeout: connectLimit,
    socketTimeout: silence,
    maxLoadingRetryTime: 500,
    enableOfflineQueue: false,
    // With 0, a lost connection rejects what was under way at once; a resent command could have been done already.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectionName: 'postern',
    disableClientInfo: true,
    reconnectOnError: reconnectWhereReadOnly(),
    ...disconnectTimeout,
  }
}

/** ioredis reads it and does not declare it. */
const disconnectTimeout: object = { disconnectTimeout: goodbye }

/** After a failover behind one name this may be the old master: the name is looked up again, at most once a second. */
function reconnectWhereReadOnly(): (error: Error) => boolean {
  let last = -Infinity
  return (error) => {
    if (!error.message.startsWith('READONLY') || performance.now() - last < 1000) return false
    last = performance.now()
    return true
  }
}

/** Ends a client; resolves when its sockets are closed, or soon after `goodbye` with Redis dead as well. */
export async function disconnect(client: Redis | Cluster): Promise<void> {
  // Between two attempts there is nothing to end, and ioredis says no "end".
  if (['wait', 'reconnecting', 'end'].includes(client.status)) return client.disconnect()
  const ended = Promise.withResolvers<void>()
  const timer = setTimeout(ended.resolve, 2 * goodbye)
  client.once('end', ended.resolve)
  client.disconnect()
  await ended.promise
  clearTimeout(timer)
}
