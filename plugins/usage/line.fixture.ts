/** A line to PostgreSQL that a test can freeze, cut, or never connect. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Line extends AsyncDisposable {
  /** The same database, by this line. */
  to(url: string): string
  /** Nothing passes any more, and nobody is told. New connections are taken, and hear nothing. */
  freeze(): void
  thaw(): void
  /** Every connection breaks. */
  cut(): void
}

export async function postgresLine(): Promise<Line> {
  let target: URL | null = null
  let isFrozen = false
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    if (isFrozen) socket.pause()
  }
  const join = (one: Socket, other: Socket) => {
    one.on('data', (bytes) => other.write(bytes))
    one.on('close', () => other.destroy())
  }
  const server = createServer((client) => {
    const folder = target!.searchParams.get('host')
    const port = Number(target!.port || 5432)
    const upstream = folder ? connect(`${folder}/.s.PGSQL.${port}`) : connect(port, target!.hostname)
    join(client, upstream)
    join(upstream, client)
    keep(client)
    keep(upstream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    to(url) {
      target = new URL(url)
      const by = new URL(url)
      by.searchParams.delete('host')
      by.host = `127.0.0.1:${port}`
      return by.href
    },
    freeze() {
      isFrozen = true
      for (const socket of sockets) socket.pause()
    },
    thaw() {
      isFrozen = false
      for (const socket of sockets) socket.resume()
    },
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
