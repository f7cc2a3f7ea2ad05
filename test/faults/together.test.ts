/** Sessions, slots and failover in one gateway: each keeps its word while the others keep theirs. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { json, type Script } from '../fake-upstream.ts'
import { until } from '../redis-server.ts'
import { Fleet, type FleetOptions } from './fleet.ts'

const tired = (seconds: string): Script => json(429, { error: { message: 'enough' } }, { 'retry-after': seconds })
const count = (length: number) => Array.from({ length }, (_, at) => at)

describe('a session', () => {
  test('stays with its upstream through all its turns, whatever the others do beside it', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 20, b: 20, c: 20 }, areEqual: true })
    const homes = await Promise.all(count(20).map((n) => fleet.turn(`s${n}`)))
    assert.ok(new Set(homes).size > 1, 'they are spread')
    const later = await Promise.all(
      count(20).map(async (n) => {
        const turns: string[] = []
        for (let turn = 0; turn < 5; turn++) turns.push(await fleet.turn(`s${n}`))
        return turns
      }),
    )
    for (const [at, turns] of later.entries()) assert.deepEqual(turns, Array<string>(5).fill(homes[at]!), `s${at}`)
    await fleet.isFree()
  })

  test('whose upstream rests goes on at another one, stays there, and does not come back by itself', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 5, b: 5 } })
    assert.equal(await fleet.turn('s'), 'a')
    fleet.script('a', tired('0.3'))
    assert.equal(await fleet.turn('s'), 'b')
    fleet.script('a', json(200, { at: 'a' }))
    await until(async () => (await fleet.turn(`other ${performance.now()}`)) === 'a')
    assert.equal(await fleet.turn('s'), 'b')
    assert.equal(await fleet.turn('s'), 'b')
    await fleet.isFree()
  })

  test('whose upstream is full goes on where a slot is free', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 1, b: 5 } })
    assert.equal(await fleet.turn('s'), 'a')
    fleet.hold('a')
    const long = fleet.turn('s')
    await until(() => fleet.member('a').held.length === 1)
    assert.equal(await fleet.turn('s'), 'b')
    fleet.finish('a')
    assert.equal(await long, 'a')
    await fleet.isFree()
  })
})

describe('where one rests and the other is full', () => {
  const scenes: Readonly<Record<string, FleetOptions['slots']>> = {
    'an exchange waits for the slot': { a: 5, b: 1 },
    'an exchange waits for whichever slot is the first': { a: 5, b: 1, c: 1 },
  }
  for (const [what, slots] of Object.entries(scenes)) {
    test(`${what}, and nobody is told 429`, async () => {
      await using fleet = await Fleet.begin({ slots })
      fleet.script('a', tired('60'))
      const others = Object.keys(slots).filter((name) => name !== 'a')
      for (const name of others) fleet.hold(name)
      const answers = count(12).map((n) => fleet.turn(`s${n}`))
      for (let answered = 0; answered < 12; answered++) {
        const holder = () => others.find((name) => fleet.member(name).held.length > 0)
        await until(() => holder() !== undefined)
        fleet.finish(holder()!)
      }
      for (const answer of await Promise.all(answers)) assert.ok(others.includes(answer), answer)
      for (const name of others) assert.equal(fleet.member(name).underway.most, 1, `${name} has one slot`)
      await fleet.isFree()
    })
  }

  test('a session of the one that rests waits for a slot of the other', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 5, b: 1 } })
    assert.equal(await fleet.turn('s'), 'a')
    fleet.script('a', tired('60'))
    fleet.hold('b')
    const busy = fleet.turn('t')
    await until(() => fleet.member('b').held.length === 1)
    const waits = fleet.turn('s')
    await until(() => fleet.member('a').upstream.asked.length === 2)
    fleet.finish('b')
    assert.equal(await busy, 'b')
    await until(() => fleet.member('b').held.length === 1)
    fleet.finish('b')
    assert.equal(await waits, 'b')
    assert.equal(fleet.member('a').upstream.asked.length, 2, 'and is not asked while it rests')
    await fleet.isFree()
  })

  test('those that wait for a slot of one that begins to rest meanwhile wait on at the other', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 1, b: 1 } })
    fleet.hold('a')
    fleet.hold('b')
    const answers = [fleet.turn('s1')]
    await until(() => fleet.member('a').held.length === 1)
    answers.push(fleet.turn('s2'))
    await until(() => fleet.member('b').held.length === 1)
    for (const n of count(5)) answers.push(fleet.turn(`w${n}`))
    // The first one's upstream has enough: those that wait for it have to look elsewhere, and it has to wait as well.
    const [limited] = fleet.member('a').held.splice(0, 1)
    limited?.writeHead(429, { 'retry-after': '60', 'content-length': '0' }).end()
    for (let answered = 0; answered < answers.length; answered++) {
      await until(() => fleet.member('b').held.length > 0)
      fleet.finish('b')
    }
    assert.deepEqual(await Promise.all(answers), Array<string>(answers.length).fill('b'))
    assert.equal(fleet.member('a').upstream.asked.length, 1)
    assert.equal(fleet.member('b').underway.most, 1)
    await fleet.isFree()
  })

  test('who has waited too long is told 503 with both reasons, and when to come again', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 5, b: 1 }, concurrency: { wait: { upstream: '100ms' } } })
    fleet.script('a', json(401, { error: { message: 'who are you?' } }))
    fleet.hold('b')
    const busy = fleet.turn('s')
    await until(() => fleet.member('b').held.length === 1)
    const answer = await fleet.ask('t')
    assert.equal(answer.status, 503)
    assert.equal(answer.headers.get('retry-after'), '5')
    const { error } = (await answer.json()) as { error: { message: string } } // OpenAI's shape
    assert.match(error.message, /a is resting \(\d+ s\), b has no free slot$/)
    fleet.finish('b')
    assert.equal(await busy, 'b')
    await fleet.isFree()
  })
})

describe('an exchange that goes on from a stored response', () => {
  /** Where the response r is stored at a, and b is free. */
  async function stored(slots: FleetOptions['slots']): Promise<Fleet> {
    const fleet = await Fleet.begin({ slots })
    fleet.script('a', json(200, { object: 'response', id: 'resp_1', at: 'a' }))
    assert.equal(await fleet.turn('s'), 'a')
    return fleet
  }
  const next = { previous_response_id: 'resp_1' }

  test('waits for the one that has it, whoever else is free', async () => {
    await using fleet = await stored({ a: 1, b: 5 })
    fleet.hold('a')
    const busy = fleet.turn('s')
    await until(() => fleet.member('a').held.length === 1)
    const waits = fleet.turn('t', next)
    assert.equal(await fleet.turn('u'), 'b', 'others do not wait')
    fleet.finish('a')
    assert.equal(await busy, 'a')
    await until(() => fleet.member('a').held.length === 1)
    fleet.finish('a')
    assert.equal(await waits, 'a')
    assert.equal(fleet.member('b').upstream.asked.length, 1)
    await fleet.isFree()
  })

  test('is told 429 and the true time while that one rests, and nobody is asked', async () => {
    await using fleet = await stored({ a: 1, b: 5 })
    fleet.script('a', tired('30'))
    assert.equal(await fleet.turn('s'), 'b')
    const answer = await fleet.ask('t', { body: next })
    assert.equal(answer.status, 429)
    const wait = Number(answer.headers.get('retry-after'))
    assert.ok(wait > 25 && wait <= 30, String(wait))
    const { error } = (await answer.json()) as { error: { message: string } } // OpenAI's shape
    assert.match(error.message, /a is resting \(\d+ s\)/)
    assert.match(error.message, /b does not have what the request refers to: it is stored at a/)
    assert.deepEqual([fleet.member('a').upstream.asked.length, fleet.member('b').upstream.asked.length], [2, 1])
    await fleet.isFree()
  })

  test('is refused where that one begins to rest while it waits for the slot', async () => {
    await using fleet = await stored({ a: 1, b: 5 })
    fleet.hold('a')
    const busy = fleet.turn('s')
    await until(() => fleet.member('a').held.length === 1)
    const waits = fleet.ask('t', { body: next })
    assert.equal(await fleet.turn('u'), 'b', 'others do not wait')
    // Whoever asked it now would be answered well.
    fleet.script('a', json(200, { at: 'a' }))
    const [limited] = fleet.member('a').held.splice(0, 1)
    limited?.writeHead(429, { 'retry-after': '60', 'content-length': '0' }).end()
    assert.equal(await busy, 'b')
    const answer = await waits
    assert.equal(answer.status, 429)
    assert.ok(Number(answer.headers.get('retry-after')) > 50)
    assert.equal(fleet.member('a').upstream.asked.length, 2)
    await fleet.isFree()
  })
})

describe('a slot', () => {
  test('goes with the attempt: the one that failed is free while the other one answers', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 1, b: 1 } })
    fleet.script('a', json(500, { error: {} }))
    fleet.hold('b')
    const turn = fleet.turn('s')
    await until(() => fleet.member('b').held.length === 1)
    await until(async () => (await fleet.taken()).a === 0)
    assert.deepEqual(await fleet.taken(), { a: 0, b: 1 })
    fleet.finish('b')
    assert.equal(await turn, 'b')
    await fleet.isFree()
  })

  test('is given back however an exchange ends', async () => {
    const concurrency = { per_client: 50, wait: { upstream: '50ms' } }
    await using fleet = await Fleet.begin({ slots: { a: 2, b: 2 }, concurrency })
    const scripts: Readonly<Record<string, Script>> = {
      well: json(200, { at: 'a' }),
      refused: json(400, { error: { message: 'no' } }),
      overloaded: json(503, { error: { message: 'no' } }),
      broken: (_asked, _response, request) => void request.socket.resetAndDestroy(),
      cut: (_asked, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const event = 'data: {"type":"response.output_text.delta","delta":"x"}\n\n'
        response.write(event, () => response.destroy())
      },
    }
    for (const [what, script] of Object.entries(scripts)) {
      fleet.script('a', script)
      fleet.script('b', script)
      await Promise.all(
        count(4).map(async (n) => {
          const answer = await fleet.ask(`${what} ${n}`, { body: { stream: what === 'cut' } })
          await answer.text().catch(() => '')
        }),
      )
      await fleet.isFree()
    }
  })

  test('is given back when the client leaves: while it waits, before an answer and in the midst of a stream', async () => {
    await using fleet = await Fleet.begin({ slots: { a: 1 }, concurrency: { per_client: 50 } })
    const leaving = new AbortController()
    fleet.hold('a')
    const early = fleet.ask('s', { signal: leaving.signal })
    await until(() => fleet.member('a').held.length === 1)
    const waiting = fleet.ask('t', { signal: leaving.signal })
    await until(() => fleet.gw.sidecar.server.gateway.exchanges.length === 2)
    leaving.abort()
    await assert.rejects(early)
    await assert.rejects(waiting)
    await fleet.isFree()
    fleet.script('a', (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"type":"response.output_text.delta","delta":"x"}\n\n')
    })
    const midst = new AbortController()
    const answer = await fleet.ask('u', { body: { stream: true }, signal: midst.signal })
    await answer.body?.getReader().read()
    assert.deepEqual(await fleet.taken(), { a: 1 })
    midst.abort()
    await fleet.isFree()
  })
})
