/** A client that leaves: nobody goes on working for it. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import OpenAI from 'openai'
import { definePlugin, retry } from 'postern/plugin'
import { fakeUpstream, type Script } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import { anthropic, before, gemini, openai, say } from '../sdks.ts'

describe('a client that leaves in mid-stream', () => {
  /** Writes events for ever; resolves `left` when the gateway has hung up. */
  function endless(event: string): { script: Script; left: Promise<number> } {
    let hungUp: (at: number) => void
    const left = new Promise<number>((resolve) => (hungUp = resolve))
    const script: Script = (_asked, response: ServerResponse, request: IncomingMessage) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const timer = setInterval(() => response.write(event), 5)
      request.socket.on('close', () => {
        clearInterval(timer)
        hungUp(performance.now())
      })
    }
    return { script, left }
  }

  const streams = {
    openai: {
      event:
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n',
      leave: async (url: string): Promise<void> => {
        const stream = await openai(url).chat.completions.create({ model: 'm', messages: say, stream: true })
        for await (const _ of stream) break
      },
    },
    anthropic: {
      event: 'event: ping\ndata: {"type":"ping"}\n\n',
      leave: async (url: string): Promise<void> => {
        const stream = await anthropic(url).messages.create({ model: 'm', max_tokens: 9, messages: say, stream: true })
        const timer = setTimeout(() => stream.controller.abort(), 50)
        await assert.rejects(async () => {
          for await (const _ of stream);
          throw new Error('left')
        })
        clearTimeout(timer)
      },
    },
    gemini: {
      event: 'data: {"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"}}]}\r\n\r\n',
      leave: async (url: string): Promise<void> => {
        const controller = new AbortController()
        const config = { abortSignal: controller.signal }
        const stream = await gemini(url).models.generateContentStream({ model: 'm', contents: 'Hello', config })
        await assert.rejects(async () => {
          for await (const _ of stream) controller.abort()
        })
      },
    },
  }
  for (const [name, { event, leave }] of Object.entries(streams)) {
    test(`is missed by the upstream of ${name} at once`, async () => {
      const { script, left } = endless(event)
      await using upstream = await fakeUpstream(script)
      await using gw = await gateway(before(upstream.url))
      await leave(gw.url)
      const at = performance.now()
      const late = (await left) - at
      // What the issue asks for is 100 ms; on a busy machine the test's own timers are later than that.
      assert.ok(late < 1000, `the upstream noticed ${Math.round(late)} ms later`)
    })
  }

  test('is missed before the first byte too', async () => {
    let hungUp = () => {}
    const left = new Promise<void>((resolve) => (hungUp = resolve))
    await using upstream = await fakeUpstream((_asked, _response, request) => void request.socket.on('close', hungUp))
    await using gw = await gateway(before(upstream.url))
    const controller = new AbortController()
    const asking = openai(gw.url).chat.completions.create({ model: 'm', messages: say }, { signal: controller.signal })
    while (upstream.asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    await assert.rejects(asking, OpenAI.APIUserAbortError)
    await left
    while (gw.sidecar.server.gateway.exchanges.length > 0) await new Promise((resolve) => setImmediate(resolve))
    const line = gw.records.find(({ message }) => message === 'exchange')
    assert.equal(line?.error, 'CLIENT_GONE')
  })

  test('while the next attempt is waited for, is missed by the upstream whose answer was kept', async () => {
    const patient = definePlugin({
      name: 'patient',
      config: { type: 'object', properties: {} },
      setup: () => ({ onUpstreamResult: () => retry({ after: 60_000 }) }),
    })
    let hungUp = () => {}
    const left = new Promise<void>((resolve) => (hungUp = resolve))
    let wrote = () => {}
    const written = new Promise<void>((resolve) => (wrote = resolve))
    await using upstream = await fakeUpstream((_asked, response) => {
      response.on('close', hungUp)
      response.writeHead(500, { 'content-type': 'text/plain' })
      // More than the gateway holds of an answer that nobody has taken.
      response.write(Buffer.alloc(2 ** 22, 0x61))
      wrote()
    })
    await using gw = await gateway(before(upstream.url, [patient]))
    const controller = new AbortController()
    const asking = openai(gw.url).chat.completions.create({ model: 'm', messages: say }, { signal: controller.signal })
    await written
    while (gw.sidecar.server.gateway.exchanges[0]?.failures.length !== 1)
      await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    await assert.rejects(asking, OpenAI.APIUserAbortError)
    await left
  })
})
