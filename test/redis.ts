/**
 * A real Redis for a test: `await using redis = await freshRedis()`. The server is `redis-server` or `valkey-server` on PATH; on
 * Debian it is fetched where there is none; else the test fails and says the cure.
 */
import { freePort, RedisServer, until, type RedisServerOptions } from './redis-server.ts'

export { until, type RedisServer } from './redis-server.ts'

/** Starts a server of the test's own, on a free port, in memory only. It ends, and its folder goes, with the block. */
export function freshRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  return RedisServer.begin(options)
}

export interface AnyRedis extends AsyncDisposable {
  readonly url: string
}

/** The server of REDIS_URL, which others may use as well, or else one of the test's own. */
export async function anyRedis(): Promise<AnyRedis> {
  const url = process.env.REDIS_URL
  return url === undefined || url === '' ? freshRedis() : { url, async [Symbol.asyncDispose]() {} }
}

export interface FreshCluster extends AnyRedis {
  readonly masters: readonly RedisServer[]
  /** The commands that other clients send to any of them while `act` runs. */
  commandsOf(act: () => Promise<unknown>): Promise<string[]>
}

/**
 * Three masters on loopback, with a third of the slots each. A master that is gone leaves the others at work. It takes two seconds: a
 * master that has just been started waits as long before it takes part.
 */
export async function freshCluster(options: Pick<RedisServerOptions, 'password'> = {}): Promise<FreshCluster> {
  const busPorts: number[] = []
  const masters: RedisServer[] = []
  const dispose = async () => {
    await Promise.all(masters.map((master) => master[Symbol.asyncDispose]()))
  }
  try {
    for (const _ of thirds) {
      // By itself the second port is the first plus 10 000, which may be none at all.
      const busPort = await freePort()
      busPorts.push(busPort)
      masters.push(
        await RedisServer.begin({ ...options, arguments: [...clusterMode, '--cluster-port', String(busPort)] }),
      )
    }
    const [first] = masters
    for (const [at, [from, to]] of thirds.entries()) {
      await masters[at]?.ask('CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
      await masters[at]?.ask('CLUSTER', 'ADDSLOTSRANGE', from, to)
      if (at > 0) await first?.ask('CLUSTER', 'MEET', '127.0.0.1', masters[at]?.port ?? 0, busPorts[at] ?? 0)
    }
    for (const master of masters) await until(async () => knowsAll(String(await master.ask('CLUSTER', 'INFO'))))
  } catch (error) {
    await dispose()
    throw error
  }
  const nodes = masters.map(({ port }) => `127.0.0.1:${port}`)
  return {
    url: `redis+cluster://${nodes.join(',')}`,
    masters,
    async commandsOf(act) {
      const seen: string[] = []
      const listening = masters.reduce(
        (inner, master) => async () => void seen.push(...(await master.commandsOf(inner))),
        act,
      )
      await listening()
      return seen
    },
    [Symbol.asyncDispose]: dispose,
  }
}

const thirds: readonly (readonly [number, number])[] = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
]

const clusterMode =
  '--cluster-enabled yes --cluster-node-timeout 2000 --cluster-announce-ip 127.0.0.1 --cluster-require-full-coverage no'.split(
    ' ',
  )

function knowsAll(info: string): boolean {
  const says = (line: string) => info.split('\r\n').includes(line)
  return says('cluster_state:ok') && says('cluster_slots_ok:16384') && says(`cluster_known_nodes:${thirds.length}`)
}
