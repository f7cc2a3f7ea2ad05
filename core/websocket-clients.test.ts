import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { gateway } from '../test/harness.ts'
import type { Upgrade } from './websocket-upgrade.ts'
import { asksForWebSocket, WebSocketClients } from './websocket-clients.ts'

const handshake =
  'GET /v1/responses HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n' +
  'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'

/** A listener that has met nobody yet; `between` is called when an upgrade has come, before what serves it is loaded. */
async function listener(between: (clients: WebSocketClients, socket: Socket) => void = () => {}) {
  const gw = await gateway({ plugins: ['openai'] })
  const clients = new WebSocketClients(() => gw.sidecar.server.gateway)
  const met: Upgrade[] = []
  const seen = Promise.withResolvers<Socket>()
  const http = createServer({ shouldUpgradeCallback: asksForWebSocket })
  http.on('upgrade', (request, socket: Socket, head) => {
    clients.meet(request, socket, head, (upgrade) => met.push(upgrade))
    between(clients, socket)
    seen.resolve(socket)
  })
  await once(http.listen(0, '127.0.0.1'), 'listening')
  const { port } = http.address() as AddressInfo // it listens on a port
  const client = connect(port, '127.0.0.1').on('error', () => {})
  client.write(handshake)
  return {
    met,
    clients,
    seen: seen.promise,
    async [Symbol.asyncDispose]() {
      const socket = await seen.promise
      client.destroy()
      socket.destroy()
      await new Promise((resolve) => http.close(resolve))
      await gw[Symbol.asyncDispose]()
    },
  }
}

/** The module is the same for all; who asked for it before has been told a turn of the loop later. */
async function whenLoaded(): Promise<void> {
  await import('./websocket.ts')
  await new Promise((resolve) => setImmediate(resolve))
}

describe('the first upgrade', () => {
  test('waits until what serves it is loaded', async () => {
    await using listening = await listener()
    await listening.seen
    assert.equal(listening.met.length, 0)
    await whenLoaded()
    assert.equal(listening.met.length, 1)
  })

  test('is met once, and the next one at once', async () => {
    await using listening = await listener()
    const socket = await listening.seen
    await whenLoaded()
    const { request } = listening.met[0]!
    let again: Upgrade | null = null
    listening.clients.meet(request, socket, Buffer.alloc(0), (upgrade) => (again = upgrade))
    assert.ok(again)
    assert.equal(listening.met.length, 1)
  })

  test('is nobody, where its socket has broken meanwhile', async () => {
    await using listening = await listener((_clients, socket) => socket.destroy(new Error('reset')))
    await listening.seen
    await whenLoaded()
    assert.equal(listening.met.length, 0)
  })

  test('is cut off, where everything has ended meanwhile', async () => {
    await using listening = await listener((clients) => {
      clients.drain()
      clients.terminate()
    })
    const socket = await listening.seen
    await whenLoaded()
    assert.ok(socket.destroyed)
    assert.equal(listening.met.length, 0)
  })
})

describe('a listener', () => {
  test('serves upgrades that come at the same time, the first of its life', async () => {
    await using gw = await gateway({ plugins: ['openai'] })
    const sockets = Array.from({ length: 5 }, () => new WebSocket(`${gw.url.replace('http', 'ws')}/v1/responses`))
    await Promise.all(sockets.map((socket) => once(socket, 'open')))
    assert.equal(gw.sidecar.server.websockets.read().turns.accepted, 5)
    for (const socket of sockets) socket.terminate()
    await Promise.all(sockets.map((socket) => once(socket, 'close')))
  })

  test('that drains before its first upgrade refuses it', async () => {
    await using listening = await listener((clients) => clients.drain())
    await listening.seen
    await whenLoaded()
    assert.throws(() => listening.met[0]!.take({} as never), /The gateway is shutting down/) // nothing of the exchange is asked
  })

  test('has counted nobody before there was anybody', async () => {
    await using gw = await gateway({ plugins: ['openai'] })
    assert.equal(gw.sidecar.server.websockets.read().turns.accepted, 0)
    assert.equal(gw.sidecar.server.remembered, 0)
  })
})
