/** Both clients of upstreams: nothing outside may tell which one it was. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeUpstream, json, stream, type Script } from '../fake-upstream.ts'
import { wire, wireGateway } from '../conformance/http-gateway.ts'
import { gateway } from '../harness.ts'
import { freePort } from '../redis-server.ts'

const events = Buffer.from(Array.from({ length: 200 }, (_, at) => `data: {"at":${at},"text":"caf\u00e9"}\n\n`).join(''))

for (const transport of ['lean', 'undici']) {
  describe(`with transport ${transport}`, () => {
    test('an answer, and its headers, are what the upstream said', async () => {
      await using upstream = await fakeUpstream(json(200, { ok: true }, { 'x-two': 'a, b', 'set-cookie': 'c=1' }))
      await using gw = await wireGateway(upstream.url, { transport })
      const answer = await fetch(`${gw.url}/v1/x?a=%20b`, {
        method: 'POST',
        body: '{"q":1}',
        headers: { 'x-mine': '1' },
      })
      assert.equal(await answer.text(), '{"ok":true}')
      assert.deepEqual([answer.headers.get('x-two'), answer.headers.get('set-cookie')], ['a, b', 'c=1'])
      const [asked] = upstream.asked
      assert.deepEqual([asked?.url, asked?.body.toString(), asked?.headers['x-mine']], ['/v1/x?a=%20b', '{"q":1}', '1'])
      assert.equal(asked?.headers.host, new URL(upstream.url).host)
      assert.equal(asked?.rawHeaders.filter((name) => name.toLowerCase() === 'content-length').length, 1)
    })

    for (const size of [1, 7, 4096])
      test(`a stream in pieces of ${size} bytes is whole, to the byte`, async () => {
        await using upstream = await fakeUpstream(stream(events, size))
        await using gw = await wireGateway(upstream.url, { transport })
        const answer = await fetch(`${gw.url}/v1/x`, { method: 'POST', body: '{}' })
        assert.ok(Buffer.from(await answer.arrayBuffer()).equals(events))
      })

    test('a large file goes through, up and down', async () => {
      const file = Buffer.alloc(5 * 2 ** 20, 'postern ')
      await using upstream = await fakeUpstream((asked, response) => void response.end(asked.body))
      await using gw = await wireGateway(upstream.url, { transport })
      const headers = { 'content-type': 'application/octet-stream' }
      const answer = await fetch(`${gw.url}/v1/files`, { method: 'POST', body: file, headers })
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(file))
    })

    test('methods without a body have none', async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await wireGateway(upstream.url, { transport })
      for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT'])
        assert.equal((await fetch(`${gw.url}/v1/x`, { method })).status, 200, method)
      assert.deepEqual(
        upstream.asked.map(({ method, body }) => [method, body.length]),
        ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT'].map((method) => [method, 0]),
      )
    })

    test('a body that comes in chunks arrives, whatever the method', async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await wireGateway(upstream.url, { transport })
      const methods = ['POST', 'DELETE', 'OPTIONS', 'PATCH']
      for (const method of methods) {
        const body = new Blob(['a body of', ' unknown length']).stream()
        const headers = { 'content-type': 'text/plain' }
        assert.equal((await fetch(`${gw.url}/v1/x`, { method, body, headers, duplex: 'half' })).status, 200, method)
      }
      assert.deepEqual(
        upstream.asked.map(({ method, body }) => [method, body.toString()]),
        methods.map((method) => [method, 'a body of unknown length']),
      )
    })

    const failures: Record<string, [script: Script, status: number, error: string]> = {
      'does not answer': [() => {}, 504, 'HEADERS_TIMEOUT'],
      'hangs up': [(_asked, response) => void response.socket!.end(), 502, 'UPSTREAM_CLOSED'],
      'says what is no HTTP': [(_asked, response) => void response.socket!.write('hello\r\n\r\n'), 502, 'BAD_ANSWER'],
    }
    for (const [what, [script, status, error]] of Object.entries(failures))
      test(`an upstream that ${what} is called by the same name in the log`, async () => {
        await using upstream = await fakeUpstream(script)
        await using gw = await wireGateway(upstream.url, { transport, timeouts: { headers: '300ms' } })
        assert.equal((await fetch(`${gw.url}/v1/x`, { method: 'POST', body: '{}' })).status, status)
        assert.equal(gw.records.find(({ message }) => message === 'exchange')?.error, error)
      })

    test('nobody at the address is told as such', async () => {
      await using gw = await wireGateway(`http://127.0.0.1:${await freePort()}`, { transport })
      assert.equal((await fetch(`${gw.url}/v1/x`, { method: 'POST', body: '{}' })).status, 502)
      assert.equal(gw.records.find(({ message }) => message === 'exchange')?.error, 'ECONNREFUSED')
    })
  })
}

test('a reload that changes the transport cuts no stream, and the next exchange has the new one', async () => {
  let finish = () => {}
  await using upstream = await fakeUpstream(async (asked, response) => {
    if (asked.url !== '/v1/slow') return void response.end('quick')
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
    await new Promise<void>((resolve) => (finish = resolve))
    response.end('data: 2\n\n')
  })
  const options = (transport: string) => ({
    plugins: [wire],
    upstreams: [{ name: 'one', provider: 'wire', url: upstream.url }],
    transport,
  })
  await using gw = await gateway(options('undici'))
  const slow = await fetch(`${gw.url}/v1/slow`, { method: 'POST', body: '{}' })
  assert.deepEqual(await gw.reload(options('lean')), [])
  assert.equal(await (await fetch(`${gw.url}/v1/quick`, { method: 'POST', body: '{}' })).text(), 'quick')
  assert.equal(await upstream.connections(), 2)
  finish()
  assert.equal(await slow.text(), 'data: 1\n\ndata: 2\n\n')
  // The old one's connections go with it.
  while ((await upstream.connections()) > 1) await sleep(5)
})

test('a transport that nobody knows is refused with the two that there are', async () => {
  await using upstream = await fakeUpstream(json(200, {}))
  await assert.rejects(wireGateway(upstream.url, { transport: 'curl' }), /transport/)
})
