/** Opens connections to one origin: TCP, and TLS where its address says so. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'

/** Opens one connection, TLS and its certificate included, and tells it, or why there is none, once. Returns what gives up: then nobody is told. */
export type Dial = (done: (error: NodeJS.ErrnoException | null, socket: Socket | null) => void) => () => void

/** What the system asks an idle connection after, in ms: a gateway behind NAT learns of the end of one that way. */
const keepAliveDelay = 60_000

/** Dials the origin's own address. TLS sessions are resumed: that saves the upstream's half of a handshake. */
export function plainDial(origin: URL): Dial {
  const host = origin.hostname.replace(/^\[(.*)\]$/, '$1')
  const isSecure = origin.protocol === 'https:'
  const port = Number(origin.port === '' ? (isSecure ? 443 : 80) : origin.port)
  const address = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveDelay }
  if (!isSecure) return (done) => told(connect(address), 'connect', done)
  // An address is no name that a certificate could be asked for by (RFC 6066 §3).
  const servername = /^[\d.]+$|:/.test(host) ? '' : host
  let session: Buffer | undefined
  return (done) => {
    const socket: TLSSocket = connectTls({ ...address, servername, session, ALPNProtocols: ['http/1.1'] })
    socket.on('session', (fresh) => (session = fresh))
    return told(socket, 'secureConnect', done)
  }
}

function told(socket: Socket, event: string, done: Parameters<Dial>[0]): () => void {
  const failed = (error: NodeJS.ErrnoException) => {
    socket.off(event, opened)
    socket.destroy()
    done(error, null)
  }
  const opened = () => {
    socket.off('error', failed)
    done(null, socket)
  }
  socket.once(event, opened)
  socket.once('error', failed)
  return () => {
    socket.off(event, opened)
    socket.off('error', failed)
    // What it still has to say, nobody wants to know.
    socket.on('error', () => {})
    socket.destroy()
  }
}
