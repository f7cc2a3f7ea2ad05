import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, test } from 'node:test'
import { play } from '../test/conformance/http-runner.ts'
import { portOf, wireGateway } from '../test/conformance/http-gateway.ts'
import { fakeUpstream, json } from '../test/fake-upstream.ts'
import { plainAnswer, refusalOfParser } from './strict.ts'
import { refuse } from './reply.ts'

const one = { silence: 2000, ends: false, answers: 1, methods: ['GET'] } as const
const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`

describe('a request that is refused before it is an exchange', () => {
  const told: Record<string, [sent: string, status: number, code: string, words: RegExp]> = {
    'for a version that is yet to come': [head('GET /v1/x HTTP/3.0', 'host: a'), 505, 'VERSION_REFUSED', /speaks HTTP/],
    'for its version': [head('GET /v1/x HTTP/2.0', 'host: a'), 505, 'VERSION_REFUSED', /speaks HTTP\/1\.1/],
    'for its method': [head('TRACE /v1/x HTTP/1.1', 'host: a'), 405, 'METHOD_REFUSED', /not passed on/],
    'for its target': [head('GET /v1/../x HTTP/1.1', 'host: a'), 400, 'BAD_TARGET', /target/],
    'for the length of its target': [
      head(`GET /v1/${'x'.repeat(200)} HTTP/1.1`, 'host: a'),
      414,
      'TARGET_TOO_LONG',
      /longer than 100 bytes/,
    ],
    'for the number of its headers': [
      head('GET /v1/x HTTP/1.1', 'host: a', ...Array.from({ length: 10 }, (_, at) => `x-${at}: 1`)),
      431,
      'TOO_MANY_HEADERS',
      /more than 10 headers/,
    ],
    'for the size of its headers': [
      head('GET /v1/x HTTP/1.1', 'host: a', `x: ${'y'.repeat(5000)}`),
      431,
      'HEADERS_TOO_LARGE',
      /larger than this gateway takes/,
    ],
    'for a body on GET': [
      head('GET /v1/x HTTP/1.1', 'host: a', 'content-length: 1'),
      400,
      'BAD_REQUEST',
      /GET has no body/,
    ],
    'for its coding': [
      head('POST /v1/x HTTP/1.1', 'host: a', 'transfer-encoding: gzip, chunked'),
      501,
      'CODING_REFUSED',
      /chunked, once/,
    ],
    'for what it expects': [
      head('GET /v1/x HTTP/1.1', 'host: a', 'expect: more'),
      417,
      'EXPECTATION_REFUSED',
      /No such/,
    ],
    'for its form': [head('GET /v1/x HTTP/1.1', 'host : a'), 400, 'MALFORMED', /not well-formed/],
    'for want of a Host': [head('GET /v1/x HTTP/1.1'), 400, 'BAD_REQUEST', /no valid Host/],
  }
  for (const [what, [sent, status, code, words]] of Object.entries(told)) {
    test(`${what} reads why in plain words, and its connection ends`, async () => {
      await using gw = await wireGateway('http://127.0.0.1:9', { limits: { url: '100B', headers: 10, header: '4KiB' } })
      const { answers, isClosed } = await play(portOf(gw), [sent], one)
      assert.deepEqual([answers[0]?.status, answers[0]?.headers.connection, isClosed], [status, 'close', true])
      const { error } = JSON.parse(answers[0]!.body) as { error: { code: string; message: string } } // as `plainAnswer` makes it
      assert.equal(error.code, code)
      assert.match(error.message, words)
      if (status === 405) assert.match(answers[0]!.headers.allow ?? '', /^GET, HEAD, POST/)
    })
  }

  test('by a limit of the latest gateway.yaml', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await wireGateway(upstream.url)
    const long = head(`GET /v1/${'x'.repeat(200)} HTTP/1.1`, 'host: a', 'connection: close')
    assert.equal((await play(portOf(gw), [long], one)).answers[0]?.status, 200)
    const upstreams = [{ name: 'one', provider: 'wire', url: upstream.url }]
    assert.deepEqual(await gw.reload({ plugins: ['wire'], upstreams, limits: { url: '100B' } }), [])
    assert.equal((await play(portOf(gw), [long], one)).answers[0]?.status, 414)
  })
})

describe('a body that is expected to be asked for', () => {
  const asking = (gw: { url: string }, length: number) =>
    new Promise<string>((resolve, reject) => {
      const heard: string[] = []
      const headers = { 'content-length': length, expect: '100-continue' }
      const asked = request(`${gw.url}/v1/x`, { method: 'POST', headers, agent: false })
      asked.on('continue', () => {
        heard.push('100')
        asked.end('x'.repeat(length))
      })
      asked.on('response', (answer) => {
        heard.push(String(answer.statusCode))
        answer.resume()
        answer.on('close', () => {
          asked.destroy()
          resolve(heard.join(' '))
        })
      })
      asked.on('error', reject)
      asked.flushHeaders()
    })

  test('is asked for where it may come, and refused before it is sent where it may not', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await wireGateway(upstream.url, { limits: { body: '1KiB', upload: '1KiB' } })
    assert.equal(await asking(gw, 2000), '413')
    assert.equal(await asking(gw, 2), '100 400', 'two letters are no JSON')
  })
})

describe('why a connection was given up', () => {
  test('is told for what the parser found, and for nothing else', () => {
    const status = (code: string) => refusalOfParser(Object.assign(new Error(code), { code }))?.status
    assert.equal(status('HPE_INVALID_METHOD'), 400)
    assert.equal(status('HPE_HEADER_OVERFLOW'), 431)
    assert.equal(status('HPE_CHUNK_EXTENSIONS_OVERFLOW'), 413)
    assert.equal(status('ERR_HTTP_REQUEST_TIMEOUT'), 408)
    assert.equal(status('ECONNRESET'), undefined)
    assert.equal(refusalOfParser(new Error('no code')), null)
  })

  test('is told without a body to HEAD', () => {
    const refusal = refuse(400, 'MALFORMED', 'no')
    assert.match(plainAnswer(refusal, 'HEAD'), /content-length: \d+\r\nconnection: close\r\n\r\n$/)
    assert.match(plainAnswer(refusal), /\r\n\r\n\{"error":.*\}$/)
  })
})
