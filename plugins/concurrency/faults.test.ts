/** Whatever happens to exchanges, limits hold and every slot comes back. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { ask, elsewhere, spy, until, whoami } from './concurrency.fixture.ts'

const slots = { a: 3, b: 2, c: 4 } as const
const perPrincipal = 5
const users = Array.from({ length: 12 }, (_, at) => `user-${at}`)

/** The same numbers for the same seed: mulberry32. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Answers well, badly, in pieces or not at all, after a while. */
function moody(next: () => number): Script {
  return async (_asked, response) => {
    const mood = next()
    await sleep(next() * 12)
    if (mood < 0.1) response.destroy()
    else if (mood < 0.2) response.writeHead(500).end('{}')
    else if (mood < 0.3) response.writeHead(429, { 'retry-after': '1' }).end('{}')
    else if (mood < 0.6) response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    else {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let event = 0; event < 4 && !response.destroyed; event++) {
        response.write('data: {}\n\n')
        await sleep(next() * 6)
      }
      if (mood < 0.65) response.destroy()
      else response.end()
    }
  }
}

/** Counts who is under way, seen from behind the limits. */
function census() {
  const peaks = new Map<string, number>()
  const now = new Map<string, number>()
  const places = new Map<string, string[]>()
  const enter = (id: string, place: string) => {
    places.set(id, [...(places.get(id) ?? []), place])
    const count = (now.get(place) ?? 0) + 1
    now.set(place, count)
    peaks.set(place, Math.max(peaks.get(place) ?? 0, count))
  }
  const leave = (id: string, isOver: (place: string) => boolean) => {
    const [gone, kept]: [string[], string[]] = [[], []]
    for (const place of places.get(id) ?? []) (isOver(place) ? gone : kept).push(place)
    for (const place of gone) now.set(place, now.get(place)! - 1)
    places.set(id, kept)
  }
  const plugin = definePlugin({
    name: 'census',
    config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
    setup: () => ({
      onBody: ({ id, headers }) => enter(id, String(headers['x-user'])),
      onUpstreamRequest: ({ id, upstream }) => enter(id, upstream!.name),
      onUpstreamResult({ id }, result) {
        if (result.judgement !== 'final') leave(id, (place) => place in slots)
      },
      onEnd: ({ id }) => leave(id, () => true),
    }),
  })
  return { plugin, peaks, now }
}

describe('200 exchanges at a time, with aborts, errors and retries', () => {
  for (const seed of [1, 2, 3]) {
    test(`stay within every limit and give every slot back, seed ${seed}`, async () => {
      const next = random(seed)
      await using upstream = await fakeUpstream(moody(next))
      const { above, below, seen } = spy()
      const { plugin, peaks, now } = census()
      await using gw = await gateway({
        plugins: [whoami, above, { concurrency: { per_principal: perPrincipal } }, below, plugin, elsewhere, 'openai'],
        upstreams: Object.entries(slots).map(([name, slots]) => ({
          name,
          provider: 'openai',
          url: upstream.url,
          key: name,
          slots,
        })),
      })
      const outcomes = await Promise.all(
        Array.from({ length: 200 }, async (_, n) => {
          const user = users[Math.floor(next() * users.length)]!
          const signal = next() < 0.25 ? AbortSignal.timeout(Math.ceil(next() * 150)) : undefined
          try {
            const answer = await ask(gw.url, n, { 'x-user': user }, signal)
            await answer.arrayBuffer()
            return answer.status
          } catch {
            return signal?.aborted ? 'left' : 'broken'
          }
        }),
      )
      const keys = [
        ...Object.keys(slots).map((name) => `slots:upstream:${name}`),
        ...users.map((user) => `slots:principal:${user}`),
      ]
      await until('every slot is free', async () => (await seen.store.count(keys)).every((count) => count === 0))

      for (const [name, limit] of Object.entries(slots)) assert.equal(peaks.get(name), limit, name)
      for (const user of users) assert.ok((peaks.get(user) ?? 0) <= perPrincipal, user)
      assert.deepEqual([...now.values()].filter(Boolean), [])
      const released = seen.arguments.filter((_, at) => seen.calls[at] === 'release').map(([, holder]) => holder)
      assert.equal(new Set(released).size, released.length, 'each slot is released once')
      const expected = new Set<number | string>([200, 429, 500, 502, 503, 'left', 'broken'])
      for (const outcome of outcomes) assert.ok(expected.has(outcome), String(outcome))
      for (const common of [200, 'left'] as const) assert.ok(outcomes.includes(common), String(common))
      const defects = gw.records.filter(({ level }) => level === 'error')
      assert.deepEqual(defects, [])
    })
  }
})
