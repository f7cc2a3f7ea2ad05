import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { GoogleGenAI, type LiveServerMessage } from '@google/genai'
import OpenAI from 'openai'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import { ResponsesWS } from 'openai/resources/responses/ws'
import { wsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { answered, baseOf, responsesUpstream } from './websocket-client.fixture.ts'

describe('the OpenAI SDK', () => {
  test('has turns over its WebSocket of the Responses API', async () => {
    await using upstream = await responsesUpstream(answered)
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    const client = new OpenAI({ baseURL: `${gw.url}/v1`, apiKey: 'mine' })
    const ws = new ResponsesWS(client)
    const types: string[] = []
    let turns = 0
    await new Promise<void>((resolve, reject) => {
      ws.on('error', reject)
      ws.on('close', () => resolve())
      ws.on('event', (event) => {
        types.push(event.type)
        if (event.type !== 'response.completed') return
        if (++turns === 2) ws.close()
        else
          ws.send({ type: 'response.create', model: 'gpt-5', input: 'again', previous_response_id: event.response.id })
      })
      ws.send({ type: 'response.create', model: 'gpt-5', input: 'hi' })
    })
    const turn = ['response.created', 'response.output_text.delta', 'response.completed']
    assert.deepEqual(types, [...turn, ...turn])
    assert.equal(upstream.requests[0]!.headers.authorization, 'Bearer sk-up')
  })

  test('is told of an error as an event of its own', async () => {
    await using gw = await gateway({ plugins: ['openai'] })
    const ws = new ResponsesWS(new OpenAI({ baseURL: `${gw.url}/v1`, apiKey: 'mine' }))
    const error = await new Promise<Error>((resolve) => {
      ws.on('error', resolve)
      ws.send({ type: 'response.create', model: 'gpt-5', input: 'hi' })
    })
    assert.match(error.message, /No upstream can take this exchange/)
    ws.close()
  })

  test('calls a tool in a turn and goes on with its output; an error of the upstream is told, and the next turn is served', async () => {
    const call = { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'weather', arguments: '{"city":"Rome"}' }
    await using upstream = await responsesUpstream((say, body) => {
      const [item] = body.input as { type?: string }[] // what is sent below
      const id = `resp_${upstream.asked.length}`
      if (body.model === 'broken')
        return say({
          type: 'error',
          status: 400,
          error: { type: 'invalid_request_error', code: 'invalid_prompt', message: 'no' },
        })
      const output = item?.type === 'function_call_output' ? [] : [call]
      say({ type: 'response.created', response: { id } })
      for (const done of output) say({ type: 'response.output_item.done', output_index: 0, item: done })
      say({ type: 'response.completed', response: { id, output } })
    })
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    const ws = new ResponsesWS(new OpenAI({ baseURL: `${gw.url}/v1`, apiKey: 'mine' }))
    const told: string[] = []
    const ask = (model: string, item: object, more: object = {}) =>
      ws.send({ type: 'response.create', model, input: [item], tools: [tool], ...more } as Parameters<
        typeof ws.send
      >[0]) // the types want every field
    const tool = { type: 'function', name: 'weather', parameters: {}, strict: false }
    const user = { role: 'user', content: 'hi' }
    await new Promise<void>((resolve) => {
      ws.on('close', () => resolve())
      ws.on('error', (error) => {
        told.push(error.message)
        ask('gpt-5', { type: 'function_call_output', call_id: 'call_1', output: 'sunny' })
      })
      ws.on('event', (event) => {
        if (event.type === 'response.output_item.done') told.push(JSON.stringify(event.item))
        if (event.type !== 'response.completed') return
        told.push(event.response.id)
        if (told.length === 2) ask('broken', user, { previous_response_id: event.response.id })
        else ws.close()
      })
      ask('gpt-5', user)
    })
    assert.deepEqual([told[0], told[1], told[3]], [JSON.stringify(call), 'resp_1', 'resp_3'])
    assert.match(told[2]!, /invalid_prompt|no/)
    assert.deepEqual(upstream.asked[0]!.body.tools, [tool])
    assert.equal(upstream.sockets.length, 1)
  })

  test('is told of an error in a session of the Realtime API, and calls a tool in it', async () => {
    const call = { type: 'response.function_call_arguments.done', call_id: 'call_1', name: 'weather', arguments: '{}' }
    await using upstream = await wsUpstream({
      onSocket: (socket) =>
        void socket.on('message', (data: Buffer) => {
          const { type } = JSON.parse(data.toString()) as { type: string } // an event of the SDK
          const error = { type: 'error', error: { type: 'invalid_request_error', message: 'no such item' } }
          const says =
            type === 'response.create'
              ? call
              : type === 'conversation.item.create'
                ? error
                : { type: 'session.updated' }
          socket.send(JSON.stringify(says))
        }),
    })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    await using tls = await tlsInFront(gw.url)
    const client = new OpenAI({ baseURL: `${tls.url}/v1`, apiKey: 'mine' })
    const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime', options: { rejectUnauthorized: false } }, client)
    const told: string[] = []
    await new Promise<void>((resolve) => {
      realtime.socket.on('close', () => resolve())
      realtime.socket.on('open', () => realtime.send({ type: 'response.create' }))
      realtime.on('error', (error) => {
        told.push(error.message)
        realtime.close()
      })
      realtime.on('response.function_call_arguments.done', (event) => {
        told.push(event.call_id)
        const item = { type: 'function_call_output', call_id: event.call_id, output: 'sunny' } as const
        realtime.send({ type: 'conversation.item.create', item })
      })
    })
    assert.equal(told[0], 'call_1')
    assert.match(told[1]!, /no such item/)
  })

  test('has a session over its WebSocket of the Realtime API', async () => {
    await using upstream = await wsUpstream({
      onSocket(socket) {
        socket.send('{"type":"session.created","session":{}}')
        socket.on('message', (data: Buffer) => socket.send(data, { binary: false }))
      },
    })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    // It speaks TLS, whatever the base address says.
    await using tls = await tlsInFront(gw.url)
    const client = new OpenAI({ baseURL: `${tls.url}/v1`, apiKey: 'mine' })
    const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime', options: { rejectUnauthorized: false } }, client)
    const types: string[] = []
    await new Promise<void>((resolve, reject) => {
      realtime.on('error', reject)
      realtime.on('event', (event) => {
        types.push(event.type)
        if (event.type === 'session.created') realtime.send({ type: 'response.create' })
        else realtime.close()
      })
      realtime.socket.on('close', () => resolve())
    })
    assert.deepEqual(types, ['session.created', 'response.create'])
    assert.equal(upstream.requests[0]!.url, '/v1/realtime?model=gpt-realtime')
  })
})

test('the Google SDK has a session of the Live API, and the key that leaves is the gateway’s', async () => {
  await using upstream = await wsUpstream({
    onSocket: (socket) =>
      void socket.on('message', (data: Buffer) => {
        const isSetup = 'setup' in JSON.parse(data.toString())
        const said = { serverContent: { modelTurn: { parts: [{ text: 'Hello' }] }, turnComplete: true } }
        socket.send(JSON.stringify(isSetup ? { setupComplete: {} } : said))
      }),
  })
  await using gw = await gateway({
    plugins: ['openai', 'gemini'],
    upstreams: [{ name: 'g', provider: 'gemini', url: baseOf(upstream), key: 'g-up' }],
  })
  const client = new GoogleGenAI({ apiKey: 'mine', httpOptions: { baseUrl: gw.url } })
  const { promise: said, resolve: hear } = Promise.withResolvers<LiveServerMessage>()
  const { promise: closed, resolve: close } = Promise.withResolvers<unknown>()
  const session = await client.live.connect({
    model: 'gemini-live',
    callbacks: { onmessage: (message) => message.serverContent && hear(message), onclose: close },
  })
  session.sendClientContent({ turns: 'Hi' })
  assert.equal((await said).serverContent?.modelTurn?.parts?.[0]?.text, 'Hello')
  session.close()
  await closed
  const [{ url = '', headers } = {}] = upstream.requests
  assert.equal(headers?.['x-goog-api-key'], 'g-up')
  assert.doesNotMatch(url, /mine/)
  assert.match(url, /^\/ws\/google\.ai/)
})

/** Ends TLS with a certificate that it has signed itself, as a load balancer does. */
async function tlsInFront(url: string): Promise<{ url: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-tls-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await promisify(execFile)('openssl', [...request, '-subj', '/CN=127.0.0.1', '-keyout', key, '-out', cert])
  const { port, hostname } = new URL(url)
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (socket) => {
    const plain = connect(Number(port), hostname)
    socket.on('error', () => plain.destroy())
    plain.on('error', () => socket.destroy())
    socket.pipe(plain).pipe(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on a port
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true })
    },
  }
}
