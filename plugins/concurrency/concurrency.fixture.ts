/** What the tests of concurrency have in common: an upstream that answers when told, and plugins that stand for others. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin, retry, StoreDown, type Principal, type Store, type Upstream } from 'postern/plugin'

/** Waits for a condition, at most eight seconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 8000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `${what} did not come true`)
    await sleep(2)
  }
}

/** A script that answers nobody until it is told. */
export function holding() {
  const open: ServerResponse[] = []
  return {
    /** Who waits for an answer, oldest first. */
    open,
    script: (_asked: unknown, response: ServerResponse) => {
      response.on('close', () => open.includes(response) && open.splice(open.indexOf(response), 1))
      open.push(response)
    },
    /** Answers the oldest. */
    finish() {
      const response = open.shift()
      assert.ok(response, 'nobody waits for an answer')
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end('{}')
    },
    finishAll() {
      while (open.length > 0) this.finish()
    },
  }
}

/** Says who calls from headers of the client's, as a plugin that knows keys would. */
export const whoami = definePlugin({
  name: 'whoami',
  config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
  writes: ['principal', 'pin'],
  setup: () => ({
    onRequest({ headers, facts }) {
      const { 'x-user': id, 'x-user-id': userId, 'x-concurrency': concurrency, 'x-pin': pin } = headers
      if (typeof id === 'string') {
        facts.principal = {
          id,
          userId: userId ? Number(userId) : null,
          concurrency: concurrency ? Number(concurrency) : null,
        } as Principal // as much of it as limits look at
      }
      if (typeof pin === 'string') facts.pin = { upstream: pin.replace('!', ''), isHard: pin.endsWith('!') }
    },
  }),
})

/** Asks another upstream when one fails, three at most: the least that failover does. */
export const elsewhere = definePlugin({
  name: 'elsewhere',
  config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
  setup: () => ({
    rankUpstreams: ({ failures }, candidates) =>
      candidates.filter((one) => !failures.some(({ upstream, error }) => upstream === one && error !== 'PASSED_OVER')),
    onUpstreamResult: ({ attempt }, result) => (result.judgement !== 'final' && attempt < 3 ? retry() : undefined),
  }),
})

/** Chooses the upstream to which the session is pinned, as a plugin that keeps sessions would. */
export const chooser = definePlugin({
  name: 'chooser',
  config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
  mayRead: ['pin'],
  setup: () => ({
    rankUpstreams({ facts: { pin }, failures }, candidates) {
      const isPinned = ({ name }: Upstream) => name === pin?.upstream
      if (pin?.isHard) return candidates.filter(isPinned)
      return failures.length > 0 ? candidates : candidates.toSorted((a, b) => Number(isPinned(b)) - Number(isPinned(a)))
    },
  }),
})

/** Sees what a plugin sees: the store, the calls to it, the bodies as they come in, the load as a plugin further down is told. */
export function spy() {
  const seen = {
    /** Contents of `n` in the bodies, in the order in which they reached concurrency. */
    arrived: [] as number[],
    loads: [] as Record<string, number>[],
    /** The methods of the store that were called about slots, and with what. */
    calls: [] as string[],
    arguments: [] as (readonly unknown[])[],
    store: null as unknown as Store, // set when the gateway is built, before anybody asks
  }
  const config = { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} } as const
  const above = definePlugin({
    name: 'spy-above',
    config,
    setup({ store }) {
      if (seen.store !== store) noteCalls(store, seen)
      seen.store = store
      return {
        onBody({ body }) {
          seen.arrived.push(Number(body.get('n')))
        },
      }
    },
  })
  const below = definePlugin({
    name: 'spy-below',
    config,
    mayRead: ['load'],
    setup: () => ({
      rankUpstreams({ facts: { load } }, candidates) {
        const named = (one: Upstream) => [one.name, load?.get(one)]
        if (load) seen.loads.push(Object.fromEntries(candidates.map(named)) as Record<string, number>) // as declared
        return candidates
      },
    }),
  })
  return { seen, above, below }
}

/** Notes each call to the store that is about slots. */
function noteCalls(store: Store, seen: { calls: string[]; arguments: (readonly unknown[])[] }): void {
  for (const method of ['acquire', 'release', 'renew', 'count'] as const) {
    const original = store[method].bind(store) as (...args: unknown[]) => unknown
    Object.assign(store, {
      [method](...args: unknown[]) {
        seen.calls.push(method)
        seen.arguments.push(args)
        return original(...args)
      },
    })
  }
}

/** Has the store refuse to answer until the returned function is called. */
export function breakDown(store: Store): () => void {
  const down = () => Promise.reject(new StoreDown('the test has broken it'))
  // The four are its own since `noteCalls`.
  const working = { ...store }
  Object.assign(store, { acquire: down, release: down, renew: down, count: down })
  return () => void Object.assign(store, working)
}

/** Sends a request as an SDK would; `n` tells it from others. */
export function ask(url: string, n: number, headers: Record<string, string> = {}, signal?: AbortSignal) {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'm', n }),
    signal: signal ?? null,
  })
}
