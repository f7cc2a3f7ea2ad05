import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json, stream, type FakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { responseIdOf } from './answer.ts'
import { again, probe } from './probe.fixture.ts'

/** Answers as the Responses API does, and says in the id who it was. */
function responder(name: string): Script {
  let count = 0
  return (asked, response, request) => {
    const id = `resp_${name}${++count}`
    const body = JSON.parse(asked.body.toString() || '{}') as { stream?: boolean } // what the tests below send
    const answer = { object: 'response', id, status: 'completed', output: [{ id: 'msg_1', type: 'message' }] }
    if (!body.stream) return json(200, answer)(asked, response, request)
    const events = [
      { type: 'response.created', response: { ...answer, status: 'in_progress', output: [] } },
      { type: 'response.output_text.delta', item_id: 'msg_1', delta: 'x' },
      { type: 'response.completed', response: answer },
    ]
    const bytes = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
    return stream(Buffer.from(bytes), 7)(asked, response, request)
  }
}

async function fleet(options: object = {}, below: GatewayOptions['plugins'] = []) {
  const around = probe()
  const upstreams = new Map<string, FakeUpstream>()
  for (const name of ['a', 'b', 'c']) upstreams.set(name, await fakeUpstream(responder(name)))
  const yaml = (without: string | null): GatewayOptions => ({
    plugins: ['openai', around.chooser, { 'sticky-session': options }, around.witness, ...below],
    upstreams: [...upstreams]
      .filter(([name]) => name !== without)
      .map(([name, { url }]) => ({ name, provider: 'openai', url, key: 'k' })),
  })
  const gw = await gateway(yaml(null))
  return {
    gw,
    around,
    script: (name: string, script: Script) => void (upstreams.get(name)!.script = script), // one of the names above
    reload: (without: string | null) => gw.reload(yaml(without)),
    /** The id of the response, which says where it is; or the error's message. */
    async ask(body: object, first: string | null = null, headers: Record<string, string> = {}): Promise<string> {
      around.first = first
      const answer = await fetch(`${gw.url}/v1/responses`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ model: 'm', ...body }),
      })
      const text = await answer.text()
      return /resp_[a-c]\d+/.exec(text)?.[0] ?? `${answer.status} ${text}`
    },
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      for (const upstream of upstreams.values()) await upstream[Symbol.asyncDispose]()
    },
  }
}

describe('a stored response', () => {
  for (const streamed of [false, true]) {
    test(`is gone on from where it is, told ${streamed ? 'by the first event' : 'by the answer'}`, async () => {
      await using it = await fleet()
      const first = await it.ask({ input: 'x', stream: streamed }, 'b')
      assert.equal(first, 'resp_b1')
      const second = await it.ask({ input: 'y', previous_response_id: first, stream: streamed }, 'c')
      assert.equal(second, 'resp_b2')
      assert.equal(await it.ask({ input: 'z', previous_response_id: second, stream: streamed }, 'a'), 'resp_b3')
      assert.deepEqual(it.around.seen.at(-1)?.pin, { upstream: 'b', isHard: true })
      assert.deepEqual(it.around.seen.at(-1)?.order, ['b'])
    })
  }

  test('is looked for in the same round trip as the session, and goes before it', async () => {
    await using it = await fleet()
    const first = await it.ask({ input: 'x' }, 'b')
    await it.ask({ input: 'y', prompt_cache_key: 'p' }, 'c')
    const reads = it.around.reads.length
    assert.equal(await it.ask({ input: 'z', prompt_cache_key: 'p', previous_response_id: first }), 'resp_b2')
    assert.equal(it.around.reads.length, reads + 1)
    assert.equal(it.around.reads.at(-1)?.length, 4, 'both, under the new and under the old key')
  })

  test('is read, cancelled and deleted where it is', async () => {
    await using it = await fleet()
    const id = await it.ask({ input: 'x', background: true }, 'c')
    it.around.first = 'a'
    for (const [method, path] of [
      ['GET', `/v1/responses/${id}`],
      ['POST', `/v1/responses/${id}/cancel`],
      ['DELETE', `/v1/responses/${id}`],
    ] as const) {
      assert.match(await (await fetch(it.gw.url + path, { method })).text(), /resp_c/)
    }
  })

  test('is of one tenant: who knows the id of another’s is not led to it', async () => {
    await using it = await fleet({ session_hash_read_old_fallback: false, session_hash_dual_write_old: false })
    const id = await it.ask({ input: 'x' }, 'b', { authorization: 'Bearer alice' })
    const asBob = { authorization: 'Bearer bob' }
    assert.equal(await it.ask({ input: 'y', previous_response_id: id }, 'a', asBob), 'resp_a1')
    assert.equal(it.around.seen.at(-1)?.pin, null)
  })

  test('whose upstream is gone is refused with the reason, upstream by upstream', async () => {
    await using it = await fleet()
    const id = await it.ask({ input: 'x' }, 'b')
    assert.deepEqual(await it.reload('b'), [])
    const told = await it.ask({ input: 'y', previous_response_id: id })
    assert.match(told, /^503 /)
    for (const name of ['a', 'c']) {
      assert.ok(told.includes(`${name} does not have what the request refers to: it is stored at b`), told)
    }
  })

  test('whose upstream is gone is asked for elsewhere only where the operator says so', async () => {
    await using it = await fleet({ hard_fallback: true }, [again])
    const id = await it.ask({ input: 'x' }, 'b')
    assert.equal(await it.ask({ input: 'y', previous_response_id: id }, 'a'), 'resp_b2', 'as long as it is there')
    it.script('b', json(503, { error: {} }))
    assert.equal(await it.ask({ input: 'y', previous_response_id: id }, 'c'), 'resp_c1')
    await it.reload('b')
    assert.equal(await it.ask({ input: 'z', previous_response_id: 'resp_b2' }, 'a'), 'resp_a1')
  })

  test('gives the client its upstream’s own error, though others could be asked', async () => {
    await using it = await fleet({}, [again])
    const id = await it.ask({ input: 'x' }, 'b')
    it.script('b', json(429, { error: { message: 'slow down' } }))
    assert.match(await it.ask({ input: 'y', previous_response_id: id }, 'a'), /^429 .*slow down/)
    it.script('b', responder('b'))
    assert.match(await it.ask({ input: 'y', previous_response_id: id }, 'a'), /^resp_b/, 'and it is still there')
  })

  test('whose upstream has reached a limit is refused with 429 and the time to come again', async () => {
    const resting = definePlugin({
      name: 'resting',
      config: { type: 'object', description: 'Lets b rest.', additionalProperties: false, properties: {} },
      setup: () => ({
        rankUpstreams(exchange, candidates) {
          const [b] = candidates.filter(({ name }) => name === 'b')
          if (!b || exchange.headers['x-rest'] === undefined) return candidates
          exchange.passOver(b, 'is resting', { wait: 7000, isLimited: true })
          return candidates.filter((candidate) => candidate !== b)
        },
      }),
    })
    await using it = await fleet({}, [resting])
    const id = await it.ask({ input: 'x' }, 'b')
    const told = await it.ask({ input: 'y', previous_response_id: id }, 'a', { 'x-rest': 'b' })
    assert.match(told, /^429 .*b is resting/)
  })

  test('that is not stored is not bound', async () => {
    await using it = await fleet({ session_hash_dual_write_old: false })
    await it.ask({ input: 'x', store: false })
    assert.deepEqual(
      it.around.writes.flat().map(({ key }) => /response/.test(key)),
      [false],
    )
    await using not = await fleet({ bind_responses: false, session_hash_dual_write_old: false })
    await not.ask({ input: 'x' })
    assert.deepEqual(
      not.around.writes.flat().map(({ key }) => /response/.test(key)),
      [false],
    )
  })

  test('lives longer than a session', async () => {
    await using it = await fleet({ ttl: '2m', response_ttl: '2d', from_content: false })
    await it.ask({ input: 'x' })
    const lives = it.around.writes.flat().map(({ key, ttl }) => [key.replace(/^.*(response):.*?(:x)?$/, '$1$2'), ttl])
    assert.deepEqual(lives, [
      ['response:x', 172_800_000],
      ['response', 600_000],
    ])
  })
})

test('a stored conversation stays where it is', async () => {
  await using it = await fleet()
  assert.equal(await it.ask({ input: 'x', conversation: 'conv_1' }, 'b'), 'resp_b1')
  assert.equal(await it.ask({ input: 'y', conversation: { id: 'conv_1' } }, 'c'), 'resp_b2')
  assert.deepEqual(it.around.seen.at(-1)?.pin, { upstream: 'b', isHard: true })
})

test('an id is read from events that tell one, and from nothing else', () => {
  const idOf = (value: unknown) => responseIdOf(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))
  assert.equal(idOf({ type: 'response.created', response: { id: 'resp_1' } }), 'resp_1')
  assert.equal(idOf({ id: 'resp_1', object: 'response' }), 'resp_1')
  assert.equal(idOf({ id: 'chatcmpl-1', object: 'chat.completion' }), null)
  assert.equal(idOf({ type: 'response.output_item.added', item: { id: 'msg_1' } }), null)
  assert.equal(idOf({ id: 7, object: 'response' }), null)
  for (const text of ['[DONE]', '', '[]', '{', '{"id"', '"id"']) assert.equal(idOf(text), null)
})
