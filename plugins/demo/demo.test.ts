/** The plugin, and the server as any HTTP client sees it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import { addressOf, close, open } from './listen.ts'
import { ask, askAndWait, dialects, running, type Running } from './raw-client.ts'
import { demoHandler } from './server.ts'
import { runs } from '../../test/runs.ts'

let demo: Running
before(async () => {
  demo = await running()
})
after(() => demo[Symbol.asyncDispose]())

const chat = { model: 'demo', messages: [{ role: 'user', content: 'hello' }] }

describe('a request that is wrong', () => {
  test('gets a 404 in the dialect that its path looks like', async () => {
    const bodyOf = async (path: string, headers?: Record<string, string>) => {
      const { status, text } = await ask(demo.origin + path, chat, headers)
      assert.equal(status, 404, path)
      return JSON.parse(text)
    }
    assert.equal((await bodyOf('/v1/audio/speech')).error.type, 'invalid_request_error')
    assert.equal((await bodyOf('/')).error.code, null)
    assert.equal((await bodyOf('/v1/messages/batches')).error.type, 'not_found_error')
    assert.equal((await bodyOf('/v1/files', { 'anthropic-version': '2023-06-01' })).type, 'error')
    assert.equal((await bodyOf('/v1beta/cachedContents')).error.status, 'NOT_FOUND')
    assert.equal((await bodyOf('/v1/models/demo:countVotes')).error.code, 404)
  })

  test('gets a 400 where the body is no JSON, no object, or names no model', async () => {
    for (const { whole } of dialects) {
      const [path, body] = whole('demo')
      const bodies = ['', '{', '[]', 'null', '"x"', '\uFFFD', '['.repeat(100_000)]
      const nameless = path.includes('demo') ? [] : [{ ...body, model: undefined }, { ...body, model: 7 }, {}]
      for (const wrong of [...bodies, ...nameless]) {
        const { status, text } = await ask(demo.origin + path, wrong)
        assert.equal(status, 400)
        assert.equal(typeof JSON.parse(text).error.message, 'string')
      }
    }
    assert.equal((await ask(`${demo.origin}/v1beta/models/:generateContent`, {})).status, 400)
    assert.equal((await ask(`${demo.origin}/v1beta/models/%zz:generateContent`, {})).status, 400)
  })

  test('gets a 413 where the body is too large, promised or sent', async () => {
    const socket = await askAndWait(demo.port, '/v1/messages', {}, '', 64 * 1024 * 1024 + 1)
    const [answer] = await once(socket.resume(), 'data')
    assert.match(String(answer), /^HTTP\/1\.1 413 [^]*request_too_large/)
    socket.destroy()

    const endless = request(`${demo.origin}/v1/responses`, { method: 'POST', agent: false })
    const mebibyte = Buffer.alloc(1024 * 1024, ' ')
    for (let sent = 0; sent <= 64; sent++) if (!endless.write(mebibyte)) await once(endless, 'drain')
    const [{ statusCode }] = await once(endless, 'response')
    assert.equal(statusCode, 413)
    endless.destroy()
  })
})

describe('the three lists of models', () => {
  test('are told apart by path and headers', async () => {
    const list = async (path: string, headers: Record<string, string> = {}) =>
      JSON.parse((await ask(demo.origin + path, undefined, headers)).text)
    assert.equal((await list('/v1/models')).object, 'list')
    assert.equal((await list('/v1/models', { 'anthropic-version': '2023-06-01' })).has_more, false)
    assert.equal(
      (await list('/v1/models', { 'x-goog-api-client': 'google-genai-sdk/3' })).models[0].name,
      'models/demo',
    )
    assert.equal((await list('/v1beta/models/demo')).name, 'models/demo')
  })
})

test("Gemini's stream without alt=sse is one JSON array", async () => {
  const { text, headers } = await ask(`${demo.origin}/v1beta/models/demo:streamGenerateContent`, { contents: [] })
  assert.match(headers['content-type'] ?? '', /^application\/json/)
  const chunks: { candidates: { finishReason?: string }[] }[] = JSON.parse(text)
  assert.ok(chunks.length > 10)
  assert.equal(chunks.at(-1)?.candidates[0]?.finishReason, 'STOP')
})

describe('a client', () => {
  test('that leaves takes everything with it: timers, and the answer that was on its way', async () => {
    const responses: ServerResponse[] = []
    const server = createServer((request, response) => {
      responses.push(response)
      demoHandler()(request, response)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const port = Number(addressOf(server).port)
    const timers = () => process.getActiveResourcesInfo().filter((kind) => /Timeout|Immediate/.test(kind)).length
    const before = timers()
    const left: string[] = []
    const knobs = [
      'x-demo-latency: 600000',
      'x-demo-interval: 600000',
      'x-demo-fault: stall',
      'x-demo-fault: stall-mid',
      'x-demo-chunks: 100000',
    ]
    for (const knob of knobs) {
      const socket = await askAndWait(port, '/v1/chat/completions', { ...chat, stream: true }, `${knob}\r\n`)
      while (responses.length === 0) await once(server, 'request')
      const [response] = responses.splice(0)
      assert.ok(response)
      await sleep(5)
      socket.destroy()
      if (!response.closed) await once(response, 'close')
      // A timer of somebody else's may have ended meanwhile.
      if (timers() > before) left.push(knob)
    }
    await close(server)
    assert.deepEqual(left, [])
  })

  test('that reads slowly is waited for', async () => {
    const responses: ServerResponse[] = []
    const server = createServer((request, response) => {
      responses.push(response)
      demoHandler()(request, response)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const headers = 'connection: close\r\nx-demo-write: 65536\r\nx-demo-chunks: 100000\r\n'
    const socket = await askAndWait(
      Number(addressOf(server).port),
      '/v1/chat/completions',
      { ...chat, stream: true },
      headers,
    )
    while (responses[0]?.writableNeedDrain !== true) await sleep(5)
    assert.ok(responses[0].writableLength < 1024 * 1024)
    assert.match((await text(socket)).slice(-200), /data: \[DONE\]/)
    await close(server)
  })

  test('that pipelines gets its answers in order, and the fault of the second only after the first', async () => {
    const one = { ...chat, stream: true }
    const socket = await askAndWait(demo.port, '/v1/chat/completions', one, 'x-demo-interval: 1\r\n')
    const bytes = JSON.stringify({ ...chat, model: 'demo-empty' })
    socket.write(
      `POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes}`,
    )
    assert.match(await text(socket), /data: \[DONE\][^]*content-length: 0\r\n/)
  })
})

describe('hostile input', () => {
  test('of any shape gets an answer, and the server lives on', async () => {
    const fields = [
      'messages',
      'input',
      'contents',
      'tools',
      'tool_choice',
      'toolConfig',
      'stream',
      'text',
      'system',
      'response_format',
      'max_tokens',
      'generationConfig',
      'requests',
      'dimensions',
      'stream_options',
      'instructions',
    ]
    const paths = [
      '/v1/chat/completions',
      '/v1/responses',
      '/v1/embeddings',
      '/v1/messages',
      '/v1/messages/count_tokens',
      ...['generateContent', 'streamGenerateContent', 'countTokens', 'embedContent', 'batchEmbedContents'].map(
        (action) => `/v1beta/models/demo:${action}`,
      ),
    ]
    const keys = [
      'role',
      'content',
      'parts',
      'text',
      'type',
      'function',
      'name',
      'parameters',
      'input_schema',
      'functionDeclarations',
      'properties',
      'required',
      'items',
      '$ref',
      'enum',
      '__proto__',
      'constructor',
    ]
    const leaf = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom('user', 'object', '#'),
    )
    const value = fc.letrec<{ node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 5, withCrossShrink: true },
        leaf,
        fc.array(tie('node'), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom(...keys), tie('node'), { maxKeys: 5 }),
      ),
    })).node
    const body = fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 6 })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), body, async (path, fields) => {
        const { status, broken } = await ask(demo.origin + path, { ...fields, model: 'demo' })
        assert.equal(broken, null)
        assert.ok(status === 200 || status === 400, `${status}`)
      }),
      runs(400),
    )
  })

  test('that is deeper than JSON can be written again ends the one answer, not the server', async () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
    const whole = await ask(`${demo.origin}/v1/responses`, `{"model":"demo","metadata":${deep}}`)
    assert.equal(whole.status, 400)
    const streamed = await ask(`${demo.origin}/v1/responses`, `{"model":"demo","stream":true,"metadata":${deep}}`)
    assert.notEqual(streamed.broken, null)
    assert.equal((await ask(`${demo.origin}/v1/messages`, `{"model":"demo","messages":${deep}}`)).status, 200)
  })

  test('that is a schema full of itself is answered at once', async () => {
    const properties = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`p${at}`, { $ref: '#' }]))
    const tools = [{ type: 'function', function: { name: 'endless', parameters: { type: 'object', properties } } }]
    const { status, text } = await ask(`${demo.origin}/v1/chat/completions`, { ...chat, tools })
    assert.equal(status, 200)
    assert.ok(text.length < 20_000)
  })

  test('in the path gets an answer, too', async () => {
    for (const path of [
      '*',
      '//',
      '/%',
      '/v1/models/%00',
      '/v1/models/..',
      'http://elsewhere/v1/models',
      '/?'.repeat(2000),
    ]) {
      const socket = await askAndWait(demo.port, path, chat, 'connection: close\r\n')
      assert.match(await text(socket), /^HTTP\/1\.1 (400|404) /)
    }
  })
})

describe('the command', () => {
  const start = (...options: string[]) =>
    spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url)), ...options])

  test('runs a demo until it is told to stop', async () => {
    const child = start('--port', '0', '--latency', '1')
    const [said] = await once(child.stdout, 'data')
    const origin = /http:\S+/.exec(String(said))?.[0]
    assert.equal((await ask(`${origin}/v1/models`)).status, 200)
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })

  test('explains itself, and says what is wrong with its options', async () => {
    assert.match(await text(start('--help').stdout), /--port N/)
    for (const options of [
      ['--port', 'x'],
      ['--latency', '-1'],
      ['--speed', '1'],
    ]) {
      const child = start(...options)
      const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
      assert.match(said, /Try --help/)
      assert.equal(code, 2)
    }
  })
})

test('a port that is taken is said so', async () => {
  await assert.rejects(open(`127.0.0.1:${demo.port}`), /cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE/)
  const any = await open('0.0.0.0:0')
  assert.equal(addressOf(any).hostname, '127.0.0.1')
  await close(any)
})
