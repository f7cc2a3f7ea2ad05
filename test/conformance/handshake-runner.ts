/** Plays the cases of both tables of handshakes on raw sockets, and says what is not as it should be. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, key, target, type HandshakeCase, type UpgradeCase } from './handshake-case.ts'
import { message } from './handshake-cases.ts'
import { acceptOf, answered, type CountingUpstream, type SayingUpstream } from './handshake-upstream.ts'
import { parseAnswers } from './http-answers.ts'
import type { Piece } from './http-case.ts'
import { Peer } from './websocket-peer.ts'

/** What became of a handshake. */
interface Played {
  /** Statuses, in order; the last one is that of the handshake, null where there is none. */
  readonly statuses: readonly (number | null)[]
  readonly headers: Readonly<Record<string, string>>
  readonly hangs: boolean
  /** After a 101. */
  readonly isAnswered: boolean
  readonly code: number | null
  readonly fault: string | null
}

export interface Found {
  /** For the table. */
  readonly word: string
  readonly isSafe: boolean
  readonly differences: readonly string[]
}

/** Which kind of WebSocket the cases are played against. */
export type Path = '/v1/realtime?model=m' | '/v1/responses' | '/v1/listen'

/** How long is waited for the next byte, in ms: longer than the time limits of the gateway under test. */
const patience = 1500

/** Plays a request. `upstream` is what stands behind the server, null where nothing does. */
export async function playHandshake(
  port: number,
  upstream: CountingUpstream | null,
  one: HandshakeCase,
  path: Path = target,
): Promise<Found> {
  upstream?.take()
  const send = one.send.map((piece) => (typeof piece === 'string' ? piece.replaceAll(target, path) : piece))
  const hasSpoken = one.send.join('').includes(message().slice(9)) || ('opens' in one.expect && !!one.expect.closes)
  const played = await play(port, send, { before: one.before ?? 0, ends: one.ends === true, hasSpoken })
  const heard = upstream?.take() ?? 0
  const differences = judgeRequest(one, played)
  let isSafe = played.fault === null
  if ('refused' in one.expect && heard > 0) {
    isSafe = false
    differences.push('the upstream heard of what should have been refused')
  }
  const status = played.statuses.at(-1)
  if ('ignored' in one.expect && status === 101) isSafe = false
  if ('refused' in one.expect && status === 101) isSafe = false
  if (!(await isServed(port, path))) differences.push('the next client is not served')
  return { word: wordOf(played), isSafe, differences }
}

/** Plays an answer to a handshake. */
export async function playUpgrade(
  port: number,
  upstream: SayingUpstream,
  one: UpgradeCase,
  path: Path = target,
): Promise<Found> {
  upstream.say(one.says)
  const { expect } = one
  const played = await play(port, [ask(one.asks).replace(target, path)], {
    before: 0,
    ends: false,
    hasSpoken: expect.closes !== undefined,
  })
  const differences = [...endless(played)]
  const status = played.statuses.at(-1)
  if (expect.told) {
    if (status === undefined || status === null || !expect.told.includes(status))
      differences.push(`the client heard ${status ?? 'nothing'} instead of ${expect.told.join(' or ')}`)
  } else if (status !== 101) differences.push(`the client heard ${status ?? 'nothing'} instead of 101`)
  else if (expect.opens && !played.isAnswered) differences.push('its message was not answered')
  else if (expect.closes && !expect.closes.includes(played.code))
    differences.push(`it was closed with ${played.code} instead of ${expect.closes.join(' or ')}`)
  upstream.say(proper)
  if (!(await isServed(port, path))) differences.push('the next client is not served')
  return { word: wordOf(played), isSafe: true, differences }
}

const proper = [
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: $ACCEPT\r\n\r\n',
]

function judgeRequest({ expect, before = 0, ends, send }: HandshakeCase, played: Played): string[] {
  const { statuses, headers } = played
  const status = statuses.at(-1) ?? null
  const differences = endless(played)
  if (ends && status === null) return differences
  if (statuses.length !== before + 1) differences.push(`the client heard ${statuses.length} answers`)
  if ('ignored' in expect) {
    if (status === null || status === 101) differences.push(`the client heard ${status ?? 'nothing'}`)
  } else if ('refused' in expect) {
    if (status === null || !expect.refused.includes(status))
      differences.push(`the client heard ${status ?? 'nothing'} instead of ${expect.refused.join(' or ')}`)
    const [name = '', value] = expect.has?.split(': ') ?? []
    if (expect.has !== undefined && !headers[name]?.split(/, */).includes(value!))
      differences.push(`it lacks ${expect.has}`)
  } else if (status !== 101) differences.push(`the client heard ${status ?? 'nothing'} instead of 101`)
  else {
    const asked = /sec-websocket-key: *(\S+)/.exec(send.join(''))?.[1] ?? key
    if (headers['sec-websocket-accept'] !== acceptOf(asked)) differences.push('it accepts another key')
    if (headers['sec-websocket-protocol'] !== expect.protocol)
      differences.push(`the subprotocol is ${headers['sec-websocket-protocol'] ?? 'none'}`)
    if (headers['sec-websocket-extensions'] !== undefined) differences.push('it speaks an extension')
    if (expect.closes ? !expect.closes.includes(played.code ?? 0) : !ends && !played.isAnswered)
      differences.push(expect.closes ? `it was closed with ${played.code}` : 'its message was not answered')
  }
  return differences
}

function endless({ hangs, fault }: Played): string[] {
  return [...(hangs ? ['it hangs'] : []), ...(fault === null ? [] : [fault])]
}

function wordOf({ statuses, hangs, code, isAnswered }: Played): string {
  const words = statuses.map((status) => (status === null ? 'closed' : String(status)))
  if (hangs) words.push('hangs')
  else if (statuses.at(-1) === 101 && !isAnswered) words.push(code === null ? 'cut' : String(code))
  return words.join(', ')
}

async function isServed(port: number, path: Path): Promise<boolean> {
  const { statuses, isAnswered } = await play(port, [ask().replace(target, path)], {
    before: 0,
    ends: false,
    hasSpoken: false,
  })
  return statuses.at(-1) === 101 && isAnswered
}

interface Play {
  readonly before: number
  readonly ends: boolean
  /** The case has said all that it has to say. */
  readonly hasSpoken: boolean
}

async function play(port: number, pieces: readonly Piece[], { before, ends, hasSpoken }: Play): Promise<Played> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  const speaking = (async () => {
    for (const piece of pieces) {
      if (typeof piece === 'number') await sleep(piece)
      else if (socket.writable) socket.write(piece, 'latin1')
    }
    if (ends && socket.writable) socket.end()
  })()
  const head = await headOf(socket, before)
  if (head.rest === null) {
    await speaking
    socket.destroy()
    return { ...head, isAnswered: false, code: null, fault: null }
  }
  // Made at once, so that nothing is lost of what comes while the case still speaks.
  using peer = new Peer(socket, '', head.rest, true, patience)
  await speaking
  if (!hasSpoken) peer.write(Buffer.from(message(), 'latin1'))
  let isAnswered = false
  let code: number | null = null
  try {
    const heard = await peer.hear((messages) => {
      if (messages === 0 || isAnswered) return
      isAnswered = true
      peer.close(1000)
    })
    isAnswered &&= heard.messages.some(({ data }) => data.toString() === answered)
    code = heard.code
    return { ...head, isAnswered, code, fault: null }
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error)
    return { ...head, isAnswered, code, hangs: fault.startsWith('no frame'), fault }
  }
}

interface Head {
  readonly statuses: readonly (number | null)[]
  readonly headers: Readonly<Record<string, string>>
  readonly hangs: boolean
  /** What came behind a 101; null where there is none. */
  readonly rest: Buffer | null
}

/** Listens until the handshake is answered, the connection has ended, or nothing comes any more. */
function headOf(socket: Socket, before: number): Promise<Head> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const methods = Array.from({ length: before + 1 }, () => 'GET')
    const timer = setTimeout(() => done(true, true), patience)
    const look = (isOver: boolean, hangs = false) => {
      const text = bytes.toString('latin1')
      const at = text.indexOf('HTTP/1.1 101 ')
      const stop = at < 0 ? -1 : text.indexOf('\r\n\r\n', at)
      const plain = parseAnswers(at < 0 ? text : text.slice(0, at), methods, isOver)
      const statuses = plain.answers.map(({ status }) => status)
      if (stop >= 0) {
        const lines = text.slice(at, stop).split('\r\n').slice(1)
        const headers = Object.fromEntries(
          lines.map((line) => [line.split(':', 1)[0]!.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
        )
        return { statuses: [...statuses, 101], headers, hangs: false, rest: bytes.subarray(stop + 4) }
      }
      if (!isOver && statuses.length <= before) return null
      const headers = plain.answers.at(-1)?.headers ?? {}
      return { statuses: statuses.length > before ? statuses : [...statuses, null], headers, hangs, rest: null }
    }
    const done = (isOver: boolean, hangs = false) => {
      const head = look(isOver, hangs)
      if (head === null) return
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('close', onClose)
      resolve(head)
    }
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      timer.refresh()
      done(false)
    }
    const onClose = () => done(true)
    socket.on('data', onData)
    socket.on('close', onClose)
  })
}
