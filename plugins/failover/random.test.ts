/** Many exchanges with faults, from a seed: `FAILOVER_SEED` says which, `FAILOVER_EXCHANGES` how many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json, type Asked, type Script } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'

const seed = Number(process.env.FAILOVER_SEED ?? 20260317)
const exchanges = Number(process.env.FAILOVER_EXCHANGES ?? 2000)
const names = ['a', 'b', 'c', 'd', 'e'] as const
const models = ['one', 'two']

/** Mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What an upstream does: mostly well, in spells badly. Every piece of an answer names the upstream and the exchange. */
function moody(name: string, random: () => number): Script {
  let spell: Script | null = null
  let left = 0
  const answer: Script = async (asked, response) => {
    const { id, stream } = questionOf(asked)
    if (!stream) return json(200, { from: name, id, choices: [] })(asked, response, response.req)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let at = 0; at < 4 && !response.destroyed; at++) {
      response.write(event({ from: name, id, at, choices: [{ delta: { content: 'x' } }] }))
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end('data: [DONE]\n\n')
  }
  const faults: readonly Script[] = [
    json(429, { error: { code: 'rate_limit_exceeded' } }, { 'retry-after-ms': '120' }),
    json(429, { error: {} }, { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '150ms' }),
    json(503, { error: {} }),
    json(529, { error: {} }, { 'retry-after': '1' }),
    json(500, { error: {} }),
    json(400, { error: { type: 'overloaded_error' } }),
    (_asked, _response, request) => void request.socket.resetAndDestroy(),
    (_asked, _response, request) => void request.socket.end('nonsense\r\n\r\n'),
    (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(event({ error: { type: 'server_error', code: 'server_is_overloaded' } }))
    },
    (asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const { id } = questionOf(asked)
      response.write(event({ from: name, id, at: 0, choices: [{ delta: { content: 'x' } }] }), () => response.destroy())
    },
  ]
  return (...more) => {
    if (left-- <= 0) {
      left = Math.floor(random() * 12)
      spell = random() < 0.15 ? faults[Math.floor(random() * faults.length)]! : null
    }
    return (spell ?? answer)(...more)
  }
}

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
// What the test itself has sent.
const questionOf = ({ body }: Asked) => JSON.parse(body.toString()) as { id: string; model: string; stream: boolean }

/** What is known of rests from the log alone. */
class Ledger {
  readonly #until = new Map<string, number>()
  #read = 0

  restsUntil(gw: TestGateway, name: string, model: string | null): number {
    for (; this.#read < gw.records.length; this.#read++) {
      const { rest_until, account_id, model: of = '' } = gw.records[this.#read]!
      if (typeof rest_until !== 'string') continue
      const key = `${String(account_id)} ${String(of)}`
      this.#until.set(key, Math.max(this.#until.get(key) ?? 0, Date.parse(rest_until)))
    }
    return Math.max(this.#until.get(`${name} `) ?? 0, this.#until.get(`${name} ${model ?? ''}`) ?? 0)
  }
}

test(`in ${exchanges} exchanges with faults nobody resting is asked while another is free, and no answer is mixed`, async () => {
  const random = randomFrom(seed)
  const ledger = new Ledger()
  const wrong: string[] = []
  let held: TestGateway | null = null
  const watch = definePlugin({
    name: 'watch',
    config: { type: 'object', description: 'Looks who is asked.', additionalProperties: false },
    mayRead: ['model'],
    setup: () => ({
      rankUpstreams(exchange, ranked) {
        const [first] = ranked
        if (!held || !first) return ranked
        const { model } = exchange.facts
        const now = Date.now()
        if (ledger.restsUntil(held, first.name, model) <= now + 2) return ranked
        // It rests: then every other one has to rest as well, to have failed in this exchange, or to be tried by another one.
        const free = ranked.slice(1).find(({ name }) => ledger.restsUntil(held!, name, model) < now - 2)
        if (free) wrong.push(`${exchange.id}: ${first.name} rests and ${free.name} is free`)
        return ranked
      },
    }),
  })
  const upstreams = await Promise.all(names.map((name) => fakeUpstream(moody(name, random))))
  await using stack = new AsyncDisposableStack()
  for (const upstream of upstreams) stack.use(upstream)
  await using gw = await gateway({
    plugins: [
      'openai',
      {
        failover: {
          attempts: 4,
          same_upstream_delay: '5ms',
          budget: { enabled: false },
          rests: { limit: '60ms', overload: '60ms', overload_longest: '300ms' },
        },
      },
      watch,
    ],
    upstreams: upstreams.map(({ url }, at) => ({
      name: names[at],
      provider: 'openai',
      url,
      key: `key-${at}`,
      priority: at < 3 ? 1 : 2,
    })),
  })
  held = gw
  const tally = new Map<string, number>()
  let next = 0
  const worker = async () => {
    while (next < exchanges) {
      const id = `n${next++}`
      const stream = random() < 0.5
      const told = await exchange(gw, { id, stream, model: models[Math.floor(random() * 2)]! })
      tally.set(told, (tally.get(told) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: 12 }, worker))
  assert.deepEqual(wrong.slice(0, 5), [], `seed ${seed}`)
  const told = (what: string) => tally.get(what) ?? 0
  assert.ok(told('whole') > exchanges * 0.7, `seed ${seed}: ${JSON.stringify([...tally])}`)

  // When all are well again, nobody is left out.
  for (const [at, upstream] of upstreams.entries())
    upstream.script = (asked, ...more) => json(200, { from: names[at], id: questionOf(asked).id })(asked, ...more)
  const before = upstreams.slice(0, 3).map(({ asked }) => asked.length)
  for (let waited = 0; waited < 5000; waited += 5) {
    assert.match(await exchange(gw, { id: `w${waited}`, stream: false, model: 'one' }), /whole|refused/)
    if (upstreams.slice(0, 3).every(({ asked }, at) => asked.length > before[at]! + 2)) return
    await sleep(5)
  }
  assert.fail(`seed ${seed}: one that is well was left out`)
})

/** One exchange as its client sees it. Whatever it is given names this exchange and one upstream. */
async function exchange(gw: TestGateway, question: { id: string; stream: boolean; model: string }): Promise<string> {
  const answer = await fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(question),
  })
  const text = await answer.text().catch(() => 'broken')
  const pieces = [...text.matchAll(/\{"from":"(\w)","id":"(\w+)"/g)]
  assert.ok(new Set(pieces.map(([, from]) => from)).size <= 1, `mixed: ${text}`)
  for (const [, , id] of pieces) assert.equal(id, question.id, `another's: ${text}`)
  const order = [...text.matchAll(/"at":(\d)/g)].map(([, at]) => Number(at))
  assert.deepEqual(
    order,
    order.toSorted((one, other) => one - other),
    'in order',
  )
  assert.equal(new Set(order).size, order.length, `twice: ${text}`)
  if (answer.status !== 200) return 'refused'
  return !question.stream || text.includes('[DONE]') ? 'whole' : 'cut'
}
