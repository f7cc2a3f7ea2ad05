/** Opens and closes the demo's socket. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import { demoServer, type DemoOptions } from './server.ts'

/** Listens on `host:port`; resolves when it does. */
export async function open(listen: string, options: DemoOptions = {}): Promise<Server> {
  const colon = listen.lastIndexOf(':')
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const server = demoServer(options)
  const port = Number(listen.slice(colon + 1))
  // Any port that is free is this process's own; one that is named belongs to all workers.
  server.listen({ port, host, exclusive: port === 0 })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new Error(`The demo cannot listen on ${listen}: ${code}. Port 0 takes any that is free.`, { cause })
  }
  return server
}

/** Closes it, and every connection it still has: the demo has nobody's work to finish. */
export async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

/** Where to reach it. A server that listens on every address is reached on this machine's own. */
export function addressOf(server: Server): URL {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The demo does not listen on a port.')
  const { port, family } = address
  const isAny = address.address === '0.0.0.0' || address.address === '::'
  const host = isAny ? (family === 'IPv6' ? '::1' : '127.0.0.1') : address.address
  return new URL(`http://${family === 'IPv6' ? `[${host}]` : host}:${port}`)
}
