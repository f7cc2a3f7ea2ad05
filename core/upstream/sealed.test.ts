/** Compressed errors that repeat the key. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { request, type IncomingHttpHeaders } from 'node:http'
import { describe, test } from 'node:test'
import * as zlib from 'node:zlib'
import { fakeUpstream, json, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { virtualClock } from '../testing/clock.ts'
import { decode, isReadable } from './coding.ts'
import { maskFor } from './key-mask.ts'
import { Sealed, sealedBy } from './sealed.ts'

const key = 'kanari-0123456789'
const stars = '*'.repeat(key.length)
const error = JSON.stringify({ error: { message: `wrong key: ${key}, is it ${key}?` } })
const withoutKey = error.replaceAll(key, stars)

const codings = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  br: zlib.brotliCompressSync,
  deflate: zlib.deflateSync,
  zstd: zlib.zstdCompressSync,
} satisfies Record<string, (bytes: string | Buffer) => Buffer>

/** An answer in this coding, a byte at a time, with its length or in chunks. */
const answers =
  (status: number, coding: string, bytes: Buffer, how: 'in chunks' | 'with its length' = 'in chunks'): Script =>
  async (_asked, response) => {
    const length = how === 'in chunks' ? {} : { 'content-length': String(bytes.length) }
    response.writeHead(status, { 'content-type': 'application/json', 'content-encoding': coding, ...length })
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 200)) {
      response.write(bytes.subarray(at, at + Math.ceil(bytes.length / 200)))
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }

interface Heard {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

/** As no fetch would: the bytes as they come, decoded by nobody. */
function raw(url: string, method = 'GET', body = ''): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const headers = { 'accept-encoding': 'gzip, br, zstd', 'content-type': 'application/json' }
    const asking = request(url, { method, agent: false, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) }),
      )
      response.on('error', reject)
    })
    asking.on('error', reject)
    asking.end(body)
  })
}

async function told(script: Script, more: Partial<GatewayOptions> = {}): Promise<Heard> {
  await using upstream = await fakeUpstream(script)
  await using gw = await gateway({
    plugins: ['openai'],
    upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, key }],
    ...more,
  })
  const heard = await raw(`${gw.url}/v1/models`)
  assert.ok(!JSON.stringify(gw.records).includes(key), 'nor does the log have it')
  return heard
}

describe('a compressed error that repeats the key', () => {
  const ways: [how: string, more: Partial<GatewayOptions>][] = [
    ['passed on as it comes', {}],
    ['held, because another upstream may be asked', { plugins: ['openai', 'failover'] }],
    ['read by undici', { transport: 'undici' }],
  ]
  for (const [how, more] of ways) {
    for (const [coding, compress] of Object.entries(codings)) {
      test(`is told plainly and without it: ${coding}, ${how}`, async () => {
        for (const framing of ['in chunks', 'with its length'] as const) {
          const { status, headers, bytes } = await told(answers(401, coding, compress(error), framing), more)
          assert.equal(status, 401)
          assert.equal(bytes.toString(), withoutKey)
          assert.equal(headers['content-encoding'], undefined)
          assert.equal(headers['content-length'], String(bytes.length))
        }
      })
    }
  }

  test('is judged by what it says, and the next upstream is asked', async () => {
    await using bad = await fakeUpstream(answers(401, 'gzip', zlib.gzipSync(error)))
    await using good = await fakeUpstream(json(200, { ok: true }))
    const at = (name: string, url: string, priority: number) => ({ name, provider: 'openai', url, key, priority })
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [at('a', bad.url, 1), at('b', good.url, 2)],
    })
    const { status, bytes } = await raw(`${gw.url}/v1/responses`, 'POST', '{"model":"m"}')
    assert.deepEqual([status, bytes.toString()], [200, '{"ok":true}'])
    assert.equal(bad.asked.length, 1)
  })
})

describe('a compressed answer travels as it came', () => {
  const same = async (status: number, coding: string, bytes: Buffer, more: Partial<GatewayOptions> = {}) => {
    const heard = await told(answers(status, coding, bytes, 'with its length'), more)
    assert.equal(heard.status, status)
    assert.ok(heard.bytes.equals(bytes), 'to the byte')
    assert.equal(heard.headers['content-encoding'], coding)
    assert.equal(heard.headers['content-length'], String(bytes.length))
  }

  test('where the key is not in it', () => same(429, 'gzip', zlib.gzipSync('{"error":{"message":"slow down"}}')))
  test('where it is no error', () => same(200, 'br', zlib.brotliCompressSync(error)))
  test('where nobody knows the coding', () => same(400, 'compress', Buffer.from('whatever')))
  test('where it is not what it says it is', () => same(400, 'gzip', Buffer.from('{"error":"plain"}')))
  test('where it is too long to be looked at', () => same(400, 'gzip', zlib.gzipSync(randomBytes(300_000))))
  test('where it would be too long: a bomb is not read', () =>
    same(400, 'br', zlib.brotliCompressSync(Buffer.alloc(2 ** 26))))
  test('where it is held, too', () =>
    same(400, 'gzip', zlib.gzipSync(randomBytes(300_000)), { plugins: ['openai', 'failover'] }))

  test('and is waited for as long as any start of an answer, no longer', async () => {
    using clock = virtualClock()
    const begun = zlib.gzipSync(error).subarray(0, 20)
    await using upstream = await fakeUpstream((_asked, response) => {
      response.writeHead(400, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      response.write(begun)
    })
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      timeouts: { hold: '100s' },
      upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, key }],
    })
    let isTold = false
    const asking = fetch(`${gw.url}/v1/models`, { headers: { 'accept-encoding': 'gzip' } }).finally(
      () => (isTold = true),
    )
    while (upstream.asked.length === 0) await clock.advance(1)
    await clock.advance('90s')
    assert.equal(isTold, false)
    await clock.advance('15s')
    const answer = await asking
    assert.deepEqual([answer.status, answer.headers.get('content-encoding')], [400, 'gzip'])
    await answer.body?.cancel()
  })

  test('until it breaks off, which is told as the failure that it is', async () => {
    const begun = zlib.gzipSync(error)
    const { status, bytes } = await told((_asked, response) => {
      response.writeHead(400, { 'content-encoding': 'gzip', 'content-length': String(begun.length + 9) })
      response.write(begun, () => response.destroy())
    })
    assert.equal(status, 502)
    assert.ok(!bytes.toString().includes(key))
  })
})

describe('what keeps such an error', () => {
  const mask = maskFor({ authorization: `Bearer ${key}` })

  test('is there where there is a key, and a coding that can be read', () => {
    assert.ok(sealedBy({ 'content-encoding': 'GZIP' }, mask))
    for (const coding of [undefined, 'identity', 'compress', 'gzip, br', 'constructor', ['gzip', 'br']])
      assert.equal(sealedBy(coding === undefined ? {} : { 'content-encoding': coding }, mask), null)
    assert.equal(sealedBy({ 'content-encoding': 'gzip' }, null), null)
  })

  test('keeps 64 KiB and no more, and gives back all it was given', () => {
    const sealed = new Sealed({ 'content-encoding': 'gzip' }, mask!)
    assert.ok(sealed.push(Buffer.alloc(65_536)))
    assert.ok(!sealed.push(Buffer.alloc(1)))
    assert.equal(sealed.open(false).length, 65_537)
  })

  test('reads nothing that is cut off, is longer than it may be, or of a name that is no coding', () => {
    const bytes = zlib.gzipSync(Buffer.alloc(1000))
    assert.equal(decode(bytes, 'gzip', 1000)?.length, 1000)
    assert.equal(decode(bytes, 'gzip', 999), null)
    assert.equal(decode(bytes.subarray(0, -9), 'gzip', 1000), null)
    assert.equal(decode(bytes, 'toString', 1000), null)
    assert.ok(!isReadable('toString') && !isReadable(undefined))
  })
})
