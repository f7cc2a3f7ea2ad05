/** The commit point: until an answer is known to be one, another upstream may be asked; afterwards nothing is ever retried. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { fakeUpstream, json, type Script } from '../fake-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'

/** One streaming exchange of each dialect: what announces, what is content, what is an error. */
const dialects = {
  anthropic: {
    path: '/v1/messages',
    body: { model: 'm', stream: true, max_tokens: 9, messages: [{ role: 'user', content: 'x' }] },
    opening:
      sse('message_start', { type: 'message_start', message: { id: 'a', usage: { input_tokens: 1 } } }) +
      sse('ping', { type: 'ping' }),
    content: sse('content_block_delta', {
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'text_delta', text: 'hi' },
    }),
    error: sse('error', { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
    status: 529,
    told: /^event: error\ndata: \{"type":"error","error":\{"type":"\w+","message":"[^"]+"\}\}\n\n$/,
  },
  chat: {
    path: '/v1/chat/completions',
    body: { model: 'm', stream: true, messages: [{ role: 'user', content: 'x' }] },
    opening: data({
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
    }),
    content: data({
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta: { content: 'hi' }, finish_reason: null }],
    }),
    error: data({ error: { message: 'Rate limit reached', type: 'tokens', code: 'rate_limit_exceeded' } }),
    status: 429,
    told: /^data: \{"error":\{"message":"[^"]+","type":"\w+","param":null,"code":"\w+"\}\}\n\n$/,
  },
  responses: {
    path: '/v1/responses',
    body: { model: 'm', stream: true, input: 'x' },
    opening: sse('response.created', {
      type: 'response.created',
      response: { id: 'resp_1', status: 'in_progress', error: null },
    }),
    content: sse('response.output_text.delta', { type: 'response.output_text.delta', delta: 'hi' }),
    error: sse('response.failed', {
      type: 'response.failed',
      response: { id: 'resp_1', status: 'failed', error: { code: 'server_is_overloaded', message: 'busy' } },
    }),
    status: 503,
    told: /^event: error\ndata: \{"type":"error","sequence_number":0,"code":"\w+","message":"[^"]+".*\}\n\n$/,
  },
  gemini: {
    path: '/v1beta/models/m:streamGenerateContent?alt=sse',
    body: { contents: [{ parts: [{ text: 'x' }] }] },
    opening: '',
    content: data({ candidates: [{ content: { parts: [{ text: 'hi' }], role: 'model' } }] }),
    error: data({ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }),
    status: 503,
    told: /^data: \{"error":\{"code":\d+,"message":"[^"]+","status":"\w+"\}\}\n\n$/,
  },
}

function sse(event: string, value: object): string {
  return `event: ${event}\n${data(value)}`
}

function data(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`
}

const eventStream = { 'content-type': 'text/event-stream' }

/** Says the text as a stream, a write for each piece, and ends. */
function says(...pieces: string[]): Script {
  return async (_asked, response) => {
    response.writeHead(200, eventStream)
    for (const piece of pieces) {
      if (piece !== '') response.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }
}

/** Two upstreams for every provider: the first is asked first. */
function two(first: string, second: string, more: Partial<GatewayOptions> = {}): GatewayOptions {
  const upstreams = ['anthropic', 'openai', 'gemini'].flatMap((provider) => [
    { name: `${provider}-1`, provider, url: first, key: '1', priority: 1 },
    { name: `${provider}-2`, provider, url: second, key: '2', priority: 2 },
  ])
  return { plugins: ['anthropic', 'openai', 'gemini', 'failover'], upstreams, ...more }
}

const ask = (url: string, { path, body }: { path: string; body: object }) =>
  fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

for (const [name, dialect] of Object.entries(dialects)) {
  const { opening, content, error, status, told } = dialect
  describe(`a stream of ${name}`, () => {
    test('that begins with an error, told inside a 200, is asked of another upstream', async () => {
      await using first = await fakeUpstream(says(opening, error))
      await using second = await fakeUpstream(says(opening, content))
      await using gw = await gateway(two(first.url, second.url))
      assert.equal(await (await ask(gw.url, dialect)).text(), opening + content, 'and nothing of the first is in it')
      const line = gw.records.find(({ message }) => message === 'exchange')
      assert.equal(line?.attempts, 2)
      const warned = gw.records.find(({ level }) => level === 'warn')
      assert.equal(warned?.status_code, status, 'the error counts with the status it stands for')
    })

    test('whose error comes after content is passed on, and nobody else is asked', async () => {
      await using first = await fakeUpstream(says(opening, content, error))
      await using second = await fakeUpstream(says(opening, content))
      await using gw = await gateway(two(first.url, second.url))
      assert.equal(await (await ask(gw.url, dialect)).text(), opening + content + error)
      assert.equal(second.asked.length, 0)
    })

    test('that ends before any content is asked of another upstream', async () => {
      await using first = await fakeUpstream(says(opening))
      await using second = await fakeUpstream(says(opening, content))
      await using gw = await gateway(two(first.url, second.url))
      assert.equal(await (await ask(gw.url, dialect)).text(), opening + content)
    })

    test('that is cut between two events ends with an error event, after the bytes that came', async () => {
      await using first = await fakeUpstream((_asked, response) => {
        response.writeHead(200, eventStream)
        response.write(opening + content, () => setImmediate(() => response.destroy()))
      })
      await using second = await fakeUpstream(says(opening, content))
      await using gw = await gateway(two(first.url, second.url))
      const text = await (await ask(gw.url, dialect)).text()
      assert.ok(text.startsWith(opening + content))
      assert.match(text.slice((opening + content).length), told)
      assert.equal(second.asked.length, 0, 'after the first content nothing is asked again')
    })

    test('that is cut in the midst of an event is cut for the client: it never looks whole', async () => {
      await using first = await fakeUpstream((_asked, response) => {
        response.writeHead(200, eventStream)
        response.write(opening + content + content.slice(0, 20), () => setImmediate(() => response.destroy()))
      })
      await using second = await fakeUpstream(says(opening, content))
      await using gw = await gateway(two(first.url, second.url))
      await assert.rejects((await ask(gw.url, dialect)).text())
      assert.equal(second.asked.length, 0)
    })

    test('that is slow hears comments, and the answer of the second upstream after the first has failed', async () => {
      let fail = () => {}
      await using first = await fakeUpstream(async (asked, response, request) => {
        await new Promise<void>((resolve) => (fail = resolve))
        await json(500, { error: { message: 'no' } })(asked, response, request)
      })
      await using second = await fakeUpstream(says(opening, content))
      await using gw = await gateway(two(first.url, second.url, { timeouts: { heartbeat: '250ms' } }))
      const answer = await ask(gw.url, dialect)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
      const reader = answer.body!.getReader()
      assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), ': waiting\n\n')
      fail()
      let rest = ''
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) rest += Buffer.from(piece.value)
      assert.equal(rest.replaceAll(': waiting\n\n', ''), opening + content)
    })

    test('that is slow and then refused is told so in an event, with the words of the upstream', async () => {
      let fail = () => {}
      await using first = await fakeUpstream(async (asked, response, request) => {
        await new Promise<void>((resolve) => (fail = resolve))
        await json(400, { error: { message: 'your fault' } })(asked, response, request)
      })
      await using gw = await gateway(two(first.url, first.url, { timeouts: { heartbeat: '250ms' } }))
      const answer = await ask(gw.url, dialect)
      fail()
      const text = (await answer.text()).replaceAll(': waiting\n\n', '')
      assert.match(text, /data: \{.*"your fault"/)
      assert.ok(text.endsWith('\n\n'))
    })
  })
}

describe('an answer that is no stream', () => {
  const chat = { path: '/v1/chat/completions', body: { model: 'm', messages: [] } }

  test('is asked of another upstream where it is cut, empty, or an error in a 200', async () => {
    const broken: Record<string, Script> = {
      cut: (_asked, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        response.write('{"half":', () => setImmediate(() => response.destroy()))
      },
      empty: (_asked, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(),
      'empty, and says so': (_asked, response) => void response.writeHead(200, { 'content-length': '0' }).end(),
      error: json(200, { error: { message: 'no', type: 'server_error' } }),
    }
    for (const [what, script] of Object.entries(broken)) {
      await using first = await fakeUpstream(script)
      await using second = await fakeUpstream(json(200, { ok: true }))
      await using gw = await gateway(two(first.url, second.url))
      assert.equal(await (await ask(gw.url, chat)).text(), '{"ok":true}', what)
    }
  })

  test('is let go while it stalls, once it has been held long enough', async () => {
    let finish = () => {}
    await using upstream = await fakeUpstream(async (_asked, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"slow":')
      await new Promise<void>((resolve) => (finish = resolve))
      response.end('true}')
    })
    await using gw = await gateway(two(upstream.url, upstream.url, { timeouts: { hold: '250ms' } }))
    const answer = await ask(gw.url, chat)
    finish()
    assert.equal(await answer.text(), '{"slow":true}')
  })
})

describe('a limit on the time', () => {
  test('to the first content of a stream lets another upstream be asked', async () => {
    const { opening, content } = dialects.anthropic
    await using first = await fakeUpstream((_asked, response) => {
      response.writeHead(200, eventStream)
      response.write(opening)
    })
    await using second = await fakeUpstream(says(opening, content))
    await using gw = await gateway(two(first.url, second.url, { timeouts: { first_event: '500ms' } }))
    assert.equal(await (await ask(gw.url, dialects.anthropic)).text(), opening + content)
  })

  test('on the whole is told as 504 before the answer, and as an event in its midst', async () => {
    const { opening, content, told } = dialects.chat
    await using silent = await fakeUpstream(() => {})
    await using gw = await gateway(two(silent.url, silent.url, { timeouts: { total: '500ms' } }))
    const answer = await ask(gw.url, { path: dialects.chat.path, body: { model: 'm' } })
    assert.equal(answer.status, 504)
    silent.script = (_asked, response) => {
      response.writeHead(200, eventStream)
      response.write(opening + content)
    }
    const text = await (await ask(gw.url, dialects.chat)).text()
    assert.match(text.slice((opening + content).length), told)
  })
})

describe('the official SDKs', () => {
  test('raise their error where a stream ends with ours, and the text before it has arrived', async () => {
    await using upstream = await fakeUpstream((asked, response) => {
      const { opening, content } = asked.url.endsWith('/messages')
        ? dialects.anthropic
        : asked.url.endsWith('/responses')
          ? dialects.responses
          : dialects.chat
      response.writeHead(200, eventStream)
      response.write(opening + content, () => setImmediate(() => response.destroy()))
    })
    await using gw = await gateway(two(upstream.url, upstream.url))
    const openai = new OpenAI({ baseURL: `${gw.url}/v1`, apiKey: 'k', maxRetries: 0 })
    const anthropic = new Anthropic({ baseURL: gw.url, apiKey: 'k', maxRetries: 0 })
    const streams = {
      chat: () =>
        openai.chat.completions.create({ model: 'm', stream: true, messages: [{ role: 'user', content: 'x' }] }),
      responses: () => openai.responses.create({ model: 'm', stream: true, input: 'x' }),
      messages: () =>
        anthropic.messages.create({
          model: 'm',
          stream: true,
          max_tokens: 9,
          messages: [{ role: 'user', content: 'x' }],
        }),
    }
    for (const [name, open] of Object.entries(streams)) {
      let events = 0
      await assert.rejects(
        async () => {
          for await (const _event of (await open()) as AsyncIterable<unknown>) events++ // three kinds of stream
        },
        (error: Error) => {
          assert.ok(
            error instanceof OpenAI.APIError || error instanceof Anthropic.APIError,
            `${name}: ${error.message}`,
          )
          assert.match(error.message, /broke off/)
          return true
        },
      )
      assert.ok(events > 0, name)
    }
  })
})
