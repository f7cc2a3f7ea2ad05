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
