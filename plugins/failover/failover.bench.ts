import type { Exchange, Hooks, Outgoing, PluginContext, Result, Upstream } from 'postern/plugin'
import { emptyBody } from '../../core/body/body.ts'
import { openMetrics } from '../../core/observe/metrics.ts'
import { openMemoryStore } from '../../core/store/memory.ts'
import { bench } from '../../test/bench.ts'
import { restOf } from '../../core/rate-limit.ts'
import failover from './index.ts'
import { rank, type Contender } from './rank.ts'

const contenders = (count: number): Contender<number>[] =>
  Array.from({ length: count }, (_, at) => ({
    upstream: at,
    id: `openai/u${at}`,
    priority: at % 3,
    load: (at % 10) / 10,
    errors: (at % 7) / 10,
    pace: 300 + (at % 13) * 50,
    usedAt: at,
    illness: 0,
    score: 0,
    lot: 0,
    parts: null,
  }))

/** The naive way: everything is sorted, and each comparison works out both scores. */
function naive(all: readonly Contender<number>[]): Contender<number>[] {
  const best = Math.min(...all.map(({ pace }) => pace ?? Infinity))
  const score = ({ load, errors, pace }: Contender<number>) =>
    1 - load + 0.8 * (1 - errors) + 0.5 * (pace === null ? 1 : best / pace)
  return all.toSorted((one, other) => one.priority - other.priority || score(other) - score(one))
}

for (const count of [10, 100, 1000]) {
  const all = contenders(count)
  const choice = { session: 'tenant:session', entropy: 7, chooseFrom: 7, explains: false }
  await bench(
    `${count} candidates ranked`,
    {
      'scored once, drawn among seven': () => rank(all, choice),
      'scores worked out while sorting': () => naive(all),
    },
    count < 100 ? {} : { 'scores worked out while sorting': { atLeast: 1 } },
  )
}

const upstreams = (count: number): Upstream[] =>
  Array.from({ length: count }, (_, at) => ({
    name: `u${at}`,
    provider: 'openai',
    url: null,
    key: null,
    models: null,
    priority: 1,
    slots: null,
  }))

/** The plugin's hooks, set up as a gateway would, with nothing that is repeated or logged. */
async function hooksOf(): Promise<Hooks> {
  const nothing = () => {}
  const { properties } = failover.config as { properties: Record<string, { default: unknown; properties?: object }> }
  const defaults = (of: typeof properties): object =>
    Object.fromEntries(
      Object.entries(of).map(([name, { default: value, properties: inner }]) => [
        name,
        inner ? defaults(inner as typeof properties) : asNumber(value),
      ]),
    )
  const context = {
    config: defaults(properties),
    metrics: openMetrics(),
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    store: openMemoryStore(),
    signal: new AbortController().signal,
    wants: () => false,
    every: nothing,
    queue: () => ({ push: () => true, length: 0 }),
    shared: async (_key: string, open: () => unknown) => open(),
  }
  return failover.setup(context as unknown as PluginContext<unknown>) // as much of it as failover uses
}

/** Durations of the schema in ms. */
function asNumber(value: unknown): unknown {
  const [, amount, unit] = /^(\d+)(ms|s|m)$/.exec(String(value)) ?? []
  return amount === undefined ? value : Number(amount) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm']
}

const facts = { asking: null, decision: null, load: null, pin: null, session: null, model: 'gpt-5', stream: true }
const exchangeOf = (upstream: Upstream) =>
  ({
    id: 'x',
    facts: { ...facts },
    failures: [],
    passedOver: [],
    upstream,
    attempt: 1,
    error: null,
    body: emptyBody,
    passOver() {},
  }) as unknown as Exchange // as much of it as the hooks look at
const outgoing = { body: emptyBody } as Outgoing
const answer = (status: number, judgement: Result['judgement']): Result => ({
  kind: 'response',
  status,
  headers: {},
  judgement,
  ms: 400,
  body: null,
})

function walk(hooks: Hooks, candidates: readonly Upstream[], result: Result): void {
  const exchange = exchangeOf(candidates[0]!)
  void hooks.rankUpstreams?.(exchange, candidates)
  void hooks.onUpstreamRequest?.(exchange, outgoing)
  void hooks.onUpstreamResult?.(exchange, result)
  void hooks.onEnd?.(exchange)
}

const fine = answer(200, 'final')
const resting = await hooksOf()
const keyed = { ...upstreams(1)[0]!, name: 'resting', key: { reveal: () => 'key' } as Upstream['key'] }
walk(resting, [keyed], answer(429, { rest: 86_400, scope: 'credential' }))
const [calm, [one], ten, hundred] = [await hooksOf(), upstreams(1), upstreams(10), upstreams(100)]
const thousands = upstreams(10_000)
await bench('all four hooks of one exchange, nothing fails', {
  'no plugin: the exchange alone': () => void exchangeOf(one!),
  'one upstream': () => walk(calm, [one!], fine),
  '10 upstreams': () => walk(calm, ten, fine),
  '100 upstreams': () => walk(calm, hundred, fine),
  '10 upstreams, one more rests': () => walk(resting, [...ten, keyed], fine),
})
await bench(
  'all four hooks among many upstreams, of which 32 are looked at',
  {
    '100 upstreams': () => walk(calm, hundred, fine),
    '10 000 upstreams': () => walk(calm, thousands, fine),
  },
  { '10 000 upstreams': { atMost: 1.3 } },
)

const headers = {
  date: new Date().toUTCString(),
  'content-type': 'application/json',
  'retry-after': '12',
  'x-ratelimit-remaining-requests': '0',
  'x-ratelimit-reset-requests': '6m0s',
  'x-ratelimit-remaining-tokens': '90',
  'x-ratelimit-reset-tokens': '20ms',
}
const body = Buffer.from(
  JSON.stringify({ error: { message: 'Please try again in 12s.'.padEnd(2000), type: 'tokens' } }),
)
await bench('the rest that a 429 asks for', {
  'restOf: headers and 2 KB of body': () => restOf({ status: 429, headers, body }, Date.now()),
  'JSON.parse and Retry-After alone': () => [JSON.parse(body.toString()), Number(headers['retry-after'])],
})
