/** A hundred upstreams: an exchange looks at some of them, and is refused by none that could have served it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, type FakeUpstream } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import { until } from '../redis.ts'

const size = 100
const plugins = ['openai', 'sticky-session', 'concurrency', { failover: { attempts: 8, budget: { enabled: false } } }]

function crowd({ url }: FakeUpstream, slots: number) {
  const upstreams = Array.from({ length: size }, (_, at) => ({
    name: `u${at}`,
    provider: 'openai',
    url,
    key: `key-${at}`,
    slots,
  }))
  return gateway({ plugins, upstreams })
}

const chat = (gw: TestGateway, session = 's') =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', session_id: session },
    body: '{"model":"m","messages":[]}',
  })

/** Which of them is asked. */
const numberOf = (asked: { readonly headers: Readonly<Record<string, unknown>> }) =>
  Number(/key-(\d+)$/.exec(String(asked.headers.authorization))?.[1])

describe('a session among a hundred upstreams', () => {
  test('stays where it is, and moves when that one has reached its limit', async () => {
    let limited = -1
    await using upstream = await fakeUpstream((asked, response) => {
      const number = numberOf(asked)
      if (number === limited) return void response.writeHead(429, { 'retry-after': '600' }).end('{}')
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ number }))
    })
    await using gw = await crowd(upstream, 10)
    const ask = async () => ((await (await chat(gw)).json()) as { number: number }).number // what is sent above
    const home = await ask()
    for (let times = 0; times < 5; times++) assert.equal(await ask(), home)
    limited = home
    const next = await ask()
    assert.notEqual(next, home)
    for (let times = 0; times < 5; times++) assert.equal(await ask(), next)
  })

  test('comes to the only one that has not reached its limit, whichever that is', async () => {
    await using upstream = await fakeUpstream((asked, response) => {
      if (numberOf(asked) !== 77) return void response.writeHead(429, { 'retry-after': '600' }).end('{}')
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
    await using gw = await crowd(upstream, 10)
    let status = 0
    for (let times = 0; times < size && status !== 200; times++) status = (await chat(gw)).status
    assert.equal(status, 200)
    const numbers = upstream.asked.map(numberOf)
    assert.equal(new Set(numbers).size, numbers.length, 'nobody was asked again before its time')
    assert.equal((await chat(gw)).status, 200)
    assert.equal(numberOf(upstream.asked.at(-1)!), 77)
  })

  test('has all their slots, each once, where it asks for all of them together', async () => {
    const held: (() => void)[] = []
    await using upstream = await fakeUpstream(
      (_asked, response) => void held.push(() => response.writeHead(200).end('{}')),
    )
    await using gw = await crowd(upstream, 1)
    const answers = Array.from({ length: size }, () => chat(gw))
    await until(() => held.length === size)
    assert.equal(new Set(upstream.asked.map(numberOf)).size, size)
    for (const finish of held) finish()
    for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200)
  })
})
