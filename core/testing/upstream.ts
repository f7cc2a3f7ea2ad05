/** A scripted upstream on a real socket: says what the script says, byte for byte, and remembers what it was asked. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as the upstream received it. */
export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

export type Script = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void | Promise<void>

export interface FakeUpstream extends AsyncDisposable {
  readonly url: string
  readonly asked: readonly Asked[]
  /** How many connections are open. */
  connections(): Promise<number>
  /** Another script from now on. */
  script: Script
}

/** Opens one. It answers once it has the whole request. */
export async function fakeUpstream(script: Script): Promise<FakeUpstream> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of request) chunks.push(chunk as Buffer) // no encoding is set
      } catch {
        return // the gateway gave the request up
      }
      const { method = '', url = '', headers, rawHeaders } = request
      const one: Asked = { method, url, headers, rawHeaders, body: Buffer.concat(chunks) }
      asked.push(one)
      await upstream.script(one, response, request)
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  const upstream: FakeUpstream = {
    url: `http://127.0.0.1:${port}`,
    asked,
    script,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}
