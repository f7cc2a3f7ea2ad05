import { Secret, type Exchange, type Log, type Upstream } from 'postern/plugin'
import { bench } from '../../test/bench.ts'
import { Ranking } from './rank.ts'
import type { AccountRow } from './read.ts'
import { Roster } from './roster.ts'
import { sealerOf } from './seal.ts'

const nothing = () => {}
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
const sealer = sealerOf(['a secret of the bench, long enough to be one'])
const options = {
  providers: {},
  namedBy: 'id',
  taken: new Set<string>(),
  sealer,
  ungrouped: 'everyone',
  allowsPrivate: false,
} as const

/** Accounts in ten groups; `resting`: one of them rests. */
const rowsOf = (count: number, resting: boolean): AccountRow[] =>
  Array.from({ length: count }, (_, at) => ({
    id: at + 1,
    name: `account ${at}`,
    platform: 'openai',
    url: 'https://api.example.com',
    credentials: sealer.seal(at + 1, { key: `sk-${at}` }),
    models: null,
    has_proxy: false,
    concurrency: 3,
    priority: 50,
    expires_in: null,
    limited_for: resting && at === 7 ? 3_600_000 : null,
    overloaded_for: null,
    paused_for: null,
    model_limits: null,
    clock: Date.now(),
    websocket: null,
    rules: null,
    groups: [at % 10],
  }))

const exchangeOf = (groupId: number) =>
  ({
    facts: { principal: { groupId }, model: 'gpt-5', provider: { url: new URL('https://api.example.com') } },
    failures: [],
    passOver: nothing,
  }) as unknown as Exchange<'principal' | 'model' | 'provider', never> // as much of it as the ranking looks at

for (const count of [10, 100, 1000]) {
  const rows = rowsOf(count, false)
  const roster = new Roster(options, log)
  const candidates = roster.update({ rows, routes: {}, at: Date.now() })
  const ranking = new Ranking(roster)
  const sleepy = new Roster(options, log)
  const some = sleepy.update({ rows: rowsOf(count, true), routes: {}, at: Date.now() })
  const awake = new Ranking(sleepy)
  const exchange = exchangeOf(3)
  const groups = new Map(candidates.map((upstream, at) => [upstream.name, rows[at]!.groups ?? []]))
  /** The naive way: whose account it is is looked up for each candidate of each exchange. */
  const naive = (all: readonly Upstream[]) => all.filter(({ name }) => groups.get(name)?.includes(3))
  await bench(
    `${count} accounts in ten groups, ranked for a caller of one`,
    {
      'sifted once per reading': () => ranking.rank(exchange, candidates),
      'a new list each time': () => ranking.rank(exchange, [...candidates]),
      'one rests': () => awake.rank(exchange, some),
      'looked up for each': () => naive(candidates),
    },
    { 'a new list each time': { atLeast: 2 }, 'looked up for each': { atLeast: 1.5 } },
  )
}

const rows = rowsOf(1000, false)
const fresh = () => new Roster(options, log).update({ rows, routes: {}, at: 0 })
const kept = new Roster(options, log)
kept.update({ rows, routes: {}, at: 0 })
await bench(
  '1 000 rows read again, none of them changed',
  {
    'kept as they are': () => kept.update({ rows, routes: {}, at: 0 }),
    'opened and made anew': fresh,
  },
  { 'opened and made anew': { atLeast: 3 } },
)

const sealed = sealer.seal(1, { key: new Secret('sk-bench').reveal() })
await bench('one credential', { open: () => sealer.open(1, sealed), seal: () => sealer.seal(1, { key: 'sk-bench' }) })
