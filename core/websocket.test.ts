import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request as ask } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { connectPeer } from '../test/conformance/websocket-peer.ts'
import { gateway } from '../test/harness.ts'
import { handle } from './handle.ts'
import { asksForWebSocket, WebSocketClients } from './websocket-clients.ts'

/** A listener whose sockets are looked after so often. */
async function listener(ping: string) {
  const gw = await gateway({ plugins: ['openai'], websocket: { ping } })
  const current = () => gw.sidecar.server.gateway
  const sockets = new WebSocketClients(current)
  const http = createServer({ shouldUpgradeCallback: asksForWebSocket }, (_request, response) => response.end('plain'))
  http.on('upgrade', (request, socket: Socket, head) => {
    sockets.meet(request, socket, head, (upgrade) => {
      upgrade.begin()
      const { response } = upgrade
      const path = request.url ?? ''
      void handle(current().enter({ request, response, id: 'x', path, query: '', client: '::1', far: upgrade }))
    })
  })
  await once(http.listen(0, '127.0.0.1'), 'listening')
  return {
    http,
    sockets,
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, // it listens on a port
    async [Symbol.asyncDispose]() {
      sockets.drain()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
      await gw[Symbol.asyncDispose]()
    },
  }
}

describe('sockets of clients', () => {
  test('that answer no ping are cut off, and those that do are not', async () => {
    await using it = await listener('100ms')
    const address = new URL(`${it.url.replace('http', 'ws')}/v1/responses`)
    const alive = new WebSocket(address)
    await once(alive, 'open')
    // A peer that reads nothing until it is told to answers nothing.
    using silent = await connectPeer(address)
    await once(silent.socket.resume(), 'close')
    assert.equal(alive.readyState, alive.OPEN)
    alive.terminate()
  })

  test('may ask for another protocol, and are then served as if they had not', async () => {
    await using it = await listener('1s')
    const answer = await fetch(it.url, { headers: { 'x-any': '1' } })
    assert.equal(await answer.text(), 'plain')
    const agent = new Agent()
    const asked = ask(it.url, { agent, headers: { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c' } }).end()
    const [told] = (await once(asked, 'response')) as [NodeJS.ReadableStream & { statusCode: number }] // an answer
    assert.equal(told.statusCode, 200)
    told.resume()
    agent.destroy()
  })
})
