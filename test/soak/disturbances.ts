/** What is done to a gateway while it works: other versions of gateway.yaml, and a store and a database that go away and come back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ownServer, type OwnServer } from '../postgres.ts'
import { freshRedis, type RedisServer } from '../redis.ts'
import { say } from './report.ts'

export interface Servers extends AsyncDisposable {
  readonly redis: RedisServer
  readonly postgres: OwnServer
}

export async function startServers(): Promise<Servers> {
  const redis = await freshRedis()
  // What was committed has to be there after a kill.
  const postgres = await ownServer({ settings: { synchronous_commit: 'on' } })
  return {
    redis,
    postgres,
    async [Symbol.asyncDispose]() {
      await redis[Symbol.asyncDispose]()
      await postgres[Symbol.asyncDispose]()
    },
  }
}

/** How long one of them is away, in ms. */
const away = 2000

const outages: readonly { readonly name: string; readonly act: (servers: Servers) => Promise<void> }[] = [
  {
    name: 'Redis stopped',
    act: ({ redis }) =>
      outage(
        () => redis.stop('SIGTERM'),
        () => redis.start(),
      ),
  },
  {
    name: 'PostgreSQL stopped',
    act: ({ postgres }) =>
      outage(
        () => stop(postgres),
        () => postgres.start(),
      ),
  },
  {
    name: 'Redis killed',
    act: ({ redis }) =>
      outage(
        () => redis.stop(),
        () => redis.start(),
      ),
  },
  {
    name: 'PostgreSQL killed',
    act: ({ postgres }) =>
      outage(
        () => postgres.kill(),
        () => postgres.start(),
      ),
  },
]

async function outage(down: () => Promise<void>, up: () => Promise<void>): Promise<void> {
  await down()
  await sleep(away)
  await up()
}

/** SIGTERM lets those who are connected go on and takes nobody else in; after a second they are sent away. */
async function stop({ postmaster }: OwnServer): Promise<void> {
  process.kill(postmaster.pid, 'SIGTERM')
  await Promise.race([postmaster.gone, sleep(1000)])
  await postmaster.stop()
}

export interface Disturbing {
  readonly servers: Servers
  readonly reload: (round: number) => Promise<void>
  /** In ms: from one reload, and from one outage, to the next. */
  readonly reloadEvery: number
  readonly outageEvery: number
}

/** Goes on until `isOver`; says how often it did each. */
export async function disturb(what: Disturbing, isOver: () => boolean): Promise<ReadonlyMap<string, number>> {
  const done = new Map<string, number>()
  const count = (name: string) => done.set(name, (done.get(name) ?? 0) + 1)
  const repeat = async (every: number, act: (round: number) => Promise<void>) => {
    let next = performance.now() + every
    for (let round = 1; !isOver();) {
      await sleep(100)
      if (performance.now() < next) continue
      await act(round++)
      next += every
    }
  }
  await Promise.all([
    repeat(what.reloadEvery, async (round) => {
      await what.reload(round)
      count('reload of gateway.yaml')
    }),
    repeat(what.outageEvery, async (round) => {
      const { name, act } = outages[(round - 1) % outages.length]!
      say(name)
      await act(what.servers)
      count(name)
    }),
  ])
  return done
}
