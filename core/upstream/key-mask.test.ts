import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect as dial } from 'node:net'
import fc from 'fast-check'
import { gzipSync } from 'node:zlib'
import { fakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { KeyMask, maskFor } from './key-mask.ts'

const key = 'kanari-0123456789'
const stars = '*'.repeat(key.length)

/** An error that repeats the key, a byte at a time, so that every boundary lies somewhere in it. */
const repeats =
  (status: number, text: string): Script =>
  async (_asked, response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-debug': `${key}; again ${key}` })
    for (const byte of Buffer.from(text)) {
      response.write(Buffer.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }

async function told(script: Script, plugins: readonly string[] = ['openai'], own: object = { key }) {
  await using upstream = await fakeUpstream(script)
  await using gw = await gateway({
    plugins,
    upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, ...own }],
  })
  const answer = await fetch(`${gw.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  return { headers: answer.headers, status: answer.status, text: await answer.text() }
}

describe('the key that an upstream was sent', () => {
  for (const plugins of [['openai'], ['openai', 'failover']]) {
    test(`is not told to the client by an error that repeats it (${plugins.join(', ')})`, async () => {
      const text = JSON.stringify({ error: { message: `${key.slice(0, 9)} wrong key: ${key}, ${key}` } })
      const answer = await told(repeats(401, text), plugins)
      assert.equal(answer.status, 401)
      assert.equal(answer.text, text.replaceAll(key, stars))
      assert.equal(answer.headers.get('x-debug'), `${stars}; again ${stars}`)
    })
  }

  test('is hidden where the client has sent it itself, too: logs of others may hold the answer', async () => {
    const answer = await told(repeats(403, `"${key}"`), ['openai'], {})
    assert.equal(answer.text, `"${stars}"`)
  })

  test('is not looked for in an answer that is none of an error: its bytes are passed on', async () => {
    const answer = await told(repeats(200, `"${key}"`))
    assert.equal(answer.text, `"${key}"`)
    assert.equal(answer.headers.get('x-debug'), `${key}; again ${key}`)
  })

  test('leaves the length of an answer as it was announced', async () => {
    const body = `{"error":"${key}"}`
    const answer = await told((_asked, response) => {
      response.writeHead(400, { 'content-type': 'application/json', 'content-length': String(body.length) })
      response.end(body)
    })
    assert.equal(answer.text, `{"error":"${stars}"}`)
    assert.equal(answer.headers.get('content-length'), String(body.length))
  })

  test('is hidden in an error that breaks off', async () => {
    await using upstream = await fakeUpstream((_asked, response) => {
      response.writeHead(400, { 'content-type': 'application/json', 'content-length': '100' })
      response.write(`{"error":"${key}" ${key.slice(0, 5)}`, () => response.destroy())
    })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, key }],
    })
    const { port } = new URL(gw.url)
    const socket = dial(Number(port), '127.0.0.1')
    socket.write('GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n')
    let heard = ''
    for await (const chunk of socket) heard += String(chunk)
    assert.ok(!heard.includes(key), heard)
    assert.ok(heard.includes(stars))
  })
})

describe('a mask', () => {
  test('finds a key wherever a body is cut, and changes nothing else', () => {
    const noise = fc.string({ unit: fc.constantFrom(...Array.from(`${key}xyz`)), maxLength: 30 })
    fc.assert(
      fc.property(
        fc.array(fc.oneof(noise, fc.constant(key)), { maxLength: 6 }),
        fc.infiniteStream(fc.nat(9)),
        (parts, cuts) => {
          const whole = Buffer.from(parts.join(''))
          const mask = new KeyMask([key])
          const got: Buffer[] = []
          for (let at = 0; at < whole.length;) {
            const next = at + 1 + (cuts.next().value as number) // an infinite stream has one
            got.push(mask.push(whole.subarray(at, next), false))
            at = next
          }
          got.push(mask.push(Buffer.alloc(0), true))
          assert.equal(Buffer.concat(got).toString(), whole.toString().replaceAll(key, stars))
        },
      ),
    )
  })

  test('is made of every place that has a key, and of nothing that is too short to be one', () => {
    const mask = maskFor({ authorization: `Bearer ${key}`, 'x-api-key': 'abcdefgh', 'x-goog-api-key': 'short' })
    assert.equal(String(mask?.hide(Buffer.from(`${key} abcdefgh short`))), `${stars} ******** short`)
    assert.equal(maskFor({ authorization: 'Bearer x', cookie: key }), null)
  })

  test('hides nothing in bytes that are compressed, which it cannot read', () => {
    const bytes = gzipSync(key)
    assert.equal(maskFor({ authorization: key })?.hide(bytes), bytes)
  })
})
