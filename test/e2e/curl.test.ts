/** curl, as it is: what it prints, what it saves, how it exits. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { answer } from '../../core/testing/answers.ts'
import { cut } from '../../core/testing/scripts.ts'
import { run, withoutCurl } from '../clients-page.ts'
import { fakeUpstream, json, stream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import { before, providers } from '../sdks.ts'

/** Nobody's .curlrc and no proxy of the environment; 10 s at most. */
const words = ['--disable', '--noproxy', '*', '--silent', '--show-error', '--max-time', '10']

const curl = (...given: readonly string[]) => run('curl', [...words, ...given])

const asJson = (body: object) => ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]
const messages = [{ role: 'user', content: 'Hello' }]

/** The three APIs: where a document is asked for, and where a stream. */
const apis = [
  {
    name: 'OpenAI',
    plain: { path: '/v1/chat/completions', body: { model: 'm', messages } },
    streamed: { path: '/v1/chat/completions', body: { model: 'm', messages, stream: true } },
    error: /^\{"error":\{"message":"[^"]+","type":"[a-z_]+"/,
  },
  {
    name: 'Anthropic',
    plain: { path: '/v1/messages', body: { model: 'm', max_tokens: 9, messages } },
    streamed: { path: '/v1/messages', body: { model: 'm', max_tokens: 9, messages, stream: true } },
    error: /^\{"type":"error","error":\{"type":"[a-z_]+","message":"[^"]+"/,
  },
  {
    name: 'Google',
    plain: { path: '/v1beta/models/m:generateContent', body: { contents: [{ parts: [{ text: 'Hello' }] }] } },
    streamed: {
      path: '/v1beta/models/m:streamGenerateContent?alt=sse',
      body: { contents: [{ parts: [{ text: 'Hello' }] }] },
    },
    error: /^\{"error":\{"code":502,"message":"[^"]+","status":"[A-Z_]+"/,
  },
]

for (const { name, plain, streamed, error } of apis) {
  describe(`curl at ${name}'s API`, { skip: withoutCurl }, () => {
    test('prints the document as the upstream wrote it', async () => {
      await using upstream = await fakeUpstream(json(200, { said: 'Grüße', spaced: [1, 2] }))
      await using gw = await gateway(before(upstream.url))
      const { code, out } = await curl(gw.url + plain.path, ...asJson(plain.body), '-w', '\n%{http_code}')
      assert.equal(code, 0)
      assert.equal(out, '{"said":"Grüße","spaced":[1,2]}\n200')
      assert.equal(String(upstream.asked[0]!.body), JSON.stringify(plain.body))
    })

    test('prints a stream to the byte with -N', async () => {
      await using direct = await fakeUpstream(answer('one two three'))
      await using gw = await gateway(before(direct.url))
      const there = await curl('-N', direct.url + streamed.path, ...asJson(streamed.body))
      const here = await curl('-N', gw.url + streamed.path, ...asJson(streamed.body))
      assert.equal(here.code, 0)
      assert.equal(here.out, there.out)
      assert.match(here.out, /^(event: \w+\n)?data: \{.*\n\n/)
    })

    test('is refused in the words of the API; with --fail it exits with 22', async () => {
      await using gw = await gateway(before('http://127.0.0.1:9'))
      const told = await curl(gw.url + plain.path, ...asJson(plain.body), '-w', '\n%{http_code} %{content_type}')
      assert.equal(told.code, 0)
      assert.match(told.out, error)
      assert.match(told.out, /\n502 application\/json/)
      const failed = await curl('--fail', gw.url + plain.path, ...asJson(plain.body))
      assert.equal(failed.code, 22)
      assert.match(failed.err, /502/)
    })

    test('hears of an upstream that broke off as the last event of the stream', async () => {
      await using upstream = await fakeUpstream(cut(3, answer('one two three')))
      await using gw = await gateway(before(upstream.url))
      const { out } = await curl('-N', gw.url + streamed.path, ...asJson(streamed.body))
      const events = out.trimEnd().split('\n\n')
      assert.match(events.at(-1)!, /The upstream broke off/)
      assert.ok(events.length > 3)
    })
  })
}

describe('curl', { skip: withoutCurl }, () => {
  test('-N prints the first event while the upstream holds the second back', async () => {
    let letGo = () => {}
    const seen = new Promise<void>((resolve) => (letGo = resolve))
    await using upstream = await fakeUpstream(async (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"at":1}\n\n')
      await seen
      response.end('data: [DONE]\n\n')
    })
    await using gw = await gateway(before(upstream.url))
    const { path, body } = apis[0]!.streamed
    const child = spawn('curl', [...words, '-N', gw.url + path, ...asJson(body)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      out += piece
      if (out.endsWith('{"at":1}\n\n')) letGo()
    })
    const [code] = await once(child, 'close')
    assert.equal(code, 0)
    assert.equal(out, 'data: {"at":1}\n\ndata: [DONE]\n\n')
  })

  test('-i shows Retry-After where a limit is all that stands in the way', async () => {
    await using upstream = await fakeUpstream(json(429, { error: { message: 'slow' } }, { 'retry-after': '30' }))
    await using gw = await gateway({ ...before(upstream.url), plugins: [...providers, 'failover'] })
    const { path, body } = apis[0]!.plain
    await curl(gw.url + path, ...asJson(body))
    const { out } = await curl('-i', gw.url + path, ...asJson(body))
    assert.match(out, /^HTTP\/1\.1 429 /)
    assert.match(out, /^retry-after: (29|30)\r$/im)
    assert.equal(upstream.asked.length, 1)
  })

  test('-F uploads a file to the byte, with Expect: 100-continue as it asks for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-curl-'))
    try {
      const bytes = randomBytes(3 * 1024 * 1024)
      await writeFile(join(folder, 'batch.jsonl'), bytes)
      await using upstream = await fakeUpstream(json(200, { id: 'file-1', object: 'file' }))
      await using gw = await gateway(before(upstream.url))
      const file = ['-F', 'purpose=batch', '-F', `file=@${join(folder, 'batch.jsonl')}`]
      const { code, out, err } = await curl(`${gw.url}/v1/files`, '-v', '-H', 'authorization: Bearer mine', ...file)
      assert.equal(code, 0)
      assert.equal(out, '{"id":"file-1","object":"file"}')
      assert.match(err, /^> Expect: 100-continue.*^< HTTP\/1\.1 100 Continue/ms)
      const { headers, body } = upstream.asked[0]!
      assert.match(headers['content-type'] ?? '', /^multipart\/form-data; boundary=-+\w+$/)
      assert.equal(headers.authorization, 'Bearer k')
      assert.ok(body.includes(bytes))
      assert.match(String(body.subarray(0, 200)), /name="purpose"\r\n\r\nbatch/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('--compressed has what it asked for: an encoded answer is passed on as it is', async () => {
    const packed = gzipSync('data: {"at":1}\n\ndata: [DONE]\n\n')
    await using upstream = await fakeUpstream((asked, response, request) => {
      response.setHeader('content-encoding', 'gzip')
      return stream(packed, 10)(asked, response, request)
    })
    await using gw = await gateway(before(upstream.url))
    const { path, body } = apis[0]!.streamed
    const { code, out } = await curl('-N', '--compressed', gw.url + path, ...asJson(body))
    assert.equal(code, 0)
    assert.equal(out, 'data: {"at":1}\n\ndata: [DONE]\n\n')
    assert.match(upstream.asked[0]!.headers['accept-encoding'] ?? '', /gzip/)
  })
})
