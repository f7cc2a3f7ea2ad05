/**
 * The one way out: every connection to an upstream, for HTTP, WebSockets and tunnels alike, is made here. The name is looked
 * up once, every address it leads to is checked, and one of those very addresses is dialled; there is no second look-up that
 * could say otherwise. TLS and Host go by the name.
 */
import { connect, isIP, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'
import type { UpstreamTls } from '../result.ts'
import { isPermitted, kindOf } from './addresses.ts'
import { AddressRefused, ConnectTimeout, handshakeError } from './dial-errors.ts'
import { isLocalhost, loopback, Name, systemResolve, type Resolve } from './lookup.ts'
import { contextOf } from './tls.ts'

/**
 * Makes one connection. `done` is called once, never before the call has returned: with a connected socket, its TLS handshake and
 * certificate check behind it where the origin is https, and no listener on it but one that swallows errors; or with the reason
 * why there is none. What is returned gives up: `done` is not called any more, and nothing is left open.
 */
export type Dial = (done: (error: Error | null, socket: Socket | null) => void) => () => void

export interface DialOptions {
  /** For the name, the connection and TLS together, in ms. */
  readonly timeout: number
  /** Whether addresses that are not everybody's are dialled. */
  readonly allowsPrivate: boolean
  readonly tls?: UpstreamTls | null
  /** The system's resolver where absent. */
  readonly resolve?: Resolve | undefined
}

/** Between the first address that is tried and the next, in ms (RFC 8305 §5). */
const attemptDelay = 250

/** As undici keeps it: the first probe of a connection that is silent, in ms. */
const keepAliveDelay = 60_000

/** How an origin is dialled. Made once; it remembers the name's addresses and the last TLS session. */
export function dialer(origin: URL, { timeout, allowsPrivate, tls = null, resolve }: DialOptions): Dial {
  const isSecure = /^(https|wss):$/.test(origin.protocol)
  const host = origin.hostname.replace(/^\[|\]$/g, '')
  const to: Destination = {
    shown: origin.host,
    host,
    port: Number(origin.port) || (isSecure ? 443 : 80),
    allowsPrivate,
    timeout,
    find: finder(host, allowsPrivate, resolve ?? systemResolve),
    secure: isSecure ? handshakes(host, tls) : null,
  }
  return (done) => new Dialling(to, done).giveUp
}

/** Whether a host of gateway.yaml is its own permission: an address says itself where it is, and so does localhost. */
export function saysItself({ hostname }: URL): boolean {
  return isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 || isLocalhost(hostname)
}

interface Destination {
  /** In messages. */
  readonly shown: string
  readonly host: string
  readonly port: number
  readonly allowsPrivate: boolean
  readonly timeout: number
  readonly find: Find
  /** Null: in the clear. */
  readonly secure: Handshakes | null
}

interface Find {
  (done: (error: Error | null, addresses: readonly string[]) => void): void
  /** Remembered addresses led nowhere. */
  readonly forget: () => void
}

function finder(host: string, allowsPrivate: boolean, resolve: Resolve): Find {
  if (isIP(host) !== 0 || isLocalhost(host)) {
    const addresses = isIP(host) === 0 ? loopback : [host]
    const refused = addresses.find((address) => !isPermitted(kindOf(address), allowsPrivate))
    const error = refused === undefined ? null : new AddressRefused(host, refused, kindOf(refused))
    return Object.assign((done: Parameters<Find>[0]) => done(error, error ? [] : addresses), { forget() {} })
  }
  const name = new Name(host, { allowsPrivate, resolve })
  return Object.assign((done: Parameters<Find>[0]) => name.find(done), { forget: () => name.forget() })
}

interface Handshakes {
  readonly host: string
  readonly serverName: string
  readonly context: SecureContext
  /** Of the last handshake: the next one is shorter by a round trip, and shows the same certificate. */
  session: Buffer | undefined
}

function handshakes(host: string, tls: UpstreamTls | null): Handshakes {
  const name = tls?.serverName ?? host.replace(/\.$/, '')
  // RFC 6066 §3: addresses are no server names; the certificate has to have the address then.
  return { host: name, serverName: isIP(name) === 0 ? name : '', context: contextOf(tls), session: undefined }
}

/** One connection on its way. */
class Dialling {
  readonly #to: Destination
  readonly #timer: NodeJS.Timeout
  #done: ((error: Error | null, socket: Socket | null) => void) | null
  #tcp: Socket | null = null
  #tls: TLSSocket | null = null

  constructor(to: Destination, done: (error: Error | null, socket: Socket | null) => void) {
    this.#to = to
    this.#done = done
    this.#timer = setTimeout(() => this.#fail(new ConnectTimeout(to.shown, to.timeout)), to.timeout)
    // What is known at once is told no sooner than what has to be asked for.
    process.nextTick(() => this.#begin())
  }

  readonly giveUp = (): void => {
    this.#done = null
    clearTimeout(this.#timer)
    this.#tls?.destroy()
    this.#tcp?.destroy()
  }

  #begin(): void {
    if (this.#done === null) return
    this.#to.find((error, addresses) => {
      if (this.#done === null) return
      if (error) this.#fail(error)
      else this.#connect(addresses)
    })
  }

  #connect(addresses: readonly string[]): void {
    const { port, find } = this.#to
    const tcp = connect({ ...placeOf(addresses), port, noDelay: true, keepAlive: true, ...buffers })
    this.#tcp = tcp
    tcp.on('error', swallow)
    const fail = (error: Error): void => {
      // The name may lead elsewhere by now.
      find.forget()
      this.#fail(error)
    }
    const closed = (): void => fail(cutOff(this.#to.shown))
    tcp.once('error', fail).once('close', closed)
    tcp.once('connect', () => {
      tcp.off('error', fail).off('close', closed)
      this.#connected(tcp)
    })
  }

  #connected(tcp: Socket): void {
    const { host, shown, secure, allowsPrivate } = this.#to
    const { remoteAddress } = tcp
    if (remoteAddress === undefined) return this.#fail(cutOff(shown))
    // Not what was asked for but what was reached: whatever stood between has to stand up to the same check.
    const kind = kindOf(remoteAddress)
    if (!isPermitted(kind, allowsPrivate)) return this.#fail(new AddressRefused(host, remoteAddress, kind))
    if (secure) this.#shakeHands(tcp, secure)
    else this.#succeed(tcp)
  }

  #shakeHands(tcp: Socket, secure: Handshakes): void {
    const { serverName, context, session } = secure
    const tls = connectTls({
      socket: tcp,
      host: secure.host,
      servername: serverName,
      secureContext: context,
      ...(session ? { session } : {}),
      ALPNProtocols: ['http/1.1'],
      // Said aloud: NODE_TLS_REJECT_UNAUTHORIZED=0 does not reach here.
      rejectUnauthorized: true,
    })
    this.#tls = tls
    tls.on('error', swallow)
    tls.on('session', (given: Buffer) => (secure.session = given))
    const fail = (error: Error): void => {
      secure.session = undefined
      this.#fail(handshakeError(this.#to.shown, error))
    }
    const closed = (): void => fail(cutOff(this.#to.shown))
    tls.once('error', fail).once('close', closed)
    tls.once('secureConnect', () => {
      tls.off('error', fail).off('close', closed)
      this.#succeed(tls)
    })
  }

  #succeed(socket: Socket): void {
    const done = this.#done
    if (done === null) return
    this.#done = null
    clearTimeout(this.#timer)
    done(null, socket)
  }

  #fail(error: Error): void {
    const done = this.#done
    if (done === null) return
    this.giveUp()
    done(error, null)
  }
}

/** Several addresses are tried by turns of families, each a moment after the one before (RFC 8305), and no others. */
function placeOf(addresses: readonly string[]): Omit<TcpSocketConnectOpts, 'port'> {
  if (addresses.length === 1) return { host: addresses[0]! }
  const found = addresses.map((address) => ({ address, family: isIP(address) }))
  return {
    // Never looked up: the next line has the answer.
    host: 'vetted.invalid',
    lookup: (_name, _options, give) => give(null, found),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptDelay,
  }
}

const buffers = { highWaterMark: 64 * 1024, keepAliveInitialDelay: keepAliveDelay }

function cutOff(host: string): Error {
  return Object.assign(new Error(`${host} closed the connection before it stood`), { code: 'ECONNRESET' })
}

/** Between two owners a socket is nobody's: its error is told by its close. */
function swallow(): void {}
