/**
 * Plays the cases of `http-cases.ts` against whatever listens at a port with a recording upstream behind it, and says what
 * became of each: what the client heard, and what the upstream did.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAnswers, type HeardAnswers } from './http-answers.ts'
import type { Forwarded, HttpCase, Outcome, Piece } from './http-case.ts'
import type { ParsedRequest } from './http-parse.ts'
import type { Heard, RecordingUpstream } from './http-upstream.ts'

/** A connection after the play. */
export interface Played extends HeardAnswers {
  /** The other side closed it, before we did. */
  readonly isClosed: boolean
  /** Nothing more came, and nothing was closed, until the patience ended. */
  readonly hangs: boolean
}

export interface Verdict {
  /** In a word, for the table: a status, `forwarded`, `closed`, `hangs`; joined where there are several requests. */
  readonly word: string
  /** Nothing reached the upstream that another server may read otherwise, or that should have been refused. */
  readonly isSafe: boolean
  /** Everything that differs from what the case expects; empty: all is as it should be. */
  readonly differences: readonly string[]
}

export interface Patience {
  /** How long a silent connection is listened to, in ms. */
  readonly silence: number
}

/** Plays one case. The server must reach `upstream`; `port` is on 127.0.0.1. */
export async function playCase(
  port: number,
  upstream: RecordingUpstream,
  one: HttpCase,
  patience: Patience = { silence: 3000 },
): Promise<Verdict> {
  upstream.take()
  const methods = one.expect.map((_, at) => methodOf(one, at))
  const played = await play(port, one.send, {
    ...patience,
    ends: one.ends === true,
    answers: one.expect.length,
    methods,
  })
  const heard = upstream.take()
  const probe = await play(port, [probing], { ...patience, ends: false, answers: 1, methods: ['GET'] })
  const after = upstream.take()
  const late = after.requests.filter(({ target }) => target !== '/v1/probe')
  const verdict = judge(one, played, {
    requests: [...heard.requests, ...late],
    violations: [...heard.violations, ...after.violations],
  })
  if (probe.answers[0]?.status === 200) return verdict
  return { ...verdict, isSafe: false, differences: [...verdict.differences, 'the next client is not served'] }
}

const probing = 'GET /v1/probe HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n'

interface Play extends Patience {
  readonly ends: boolean
  /** How many answers end the play. */
  readonly answers: number
  readonly methods: readonly string[]
}

/** Sends the pieces and listens until the answers are there and the connection has ended. */
export function play(
  port: number,
  pieces: readonly Piece[],
  { silence, ends, answers, methods }: Play,
): Promise<Played> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let bytes = ''
    let isClosed = false
    let hasEnded = false
    let hangs = false
    const timer = setTimeout(() => {
      hangs = true
      socket.destroy()
    }, silence)
    socket.on('data', (chunk) => {
      bytes += chunk.toString('latin1')
      timer.refresh()
      const heard = parseAnswers(bytes, methods, false)
      // A server that says it will close is given the time to do so; another is told that nothing follows.
      if (heard.answers.length < answers || heard.answers.at(-1)!.headers.connection === 'close') return
      hasEnded = true
      socket.end()
    })
    socket.on('end', () => {
      isClosed = !hasEnded
    })
    socket.on('error', () => {
      isClosed = !hasEnded
    })
    socket.on('close', () => {
      clearTimeout(timer)
      resolve({ ...parseAnswers(bytes, methods, true), isClosed, hangs })
    })
    void (async () => {
      for (const piece of pieces) {
        if (typeof piece === 'number') await sleep(piece)
        else if (socket.writable) socket.write(piece, 'latin1')
      }
      if (ends && socket.writable) socket.end()
    })()
  })
}

/** Compares what was seen with what the case expects. */
export function judge(one: HttpCase, played: Played, heard: Heard): Verdict {
  const differences: string[] = heard.violations.map(
    (violation) => `the upstream was sent what is malformed: ${violation}`,
  )
  let isSafe = differences.length === 0
  const words: string[] = []
  let passedOn = 0
  for (const [at, outcome] of one.expect.entries()) {
    const answer = played.answers[at]
    words.push(wordOf(answer?.status, heard.requests[passedOn], played))
    if ('forwarded' in outcome) {
      const found = differenceOf(heard.requests[passedOn], outcome.forwarded)
      if (found !== null) differences.push(found)
      if (found !== null && heard.requests[passedOn]) isSafe = false
      if (answer?.status !== 200) differences.push(`the client heard ${answer?.status ?? 'nothing'} instead of 200`)
      if (heard.requests[passedOn]) passedOn++
    } else if ('left' in outcome) {
      const found = heard.requests[passedOn] ? differenceOf(heard.requests[passedOn], outcome.left) : null
      if (found !== null) differences.push(found)
      if (heard.requests[passedOn]) passedOn++
    } else differences.push(...refusalDifferences(one, outcome, played, at))
  }
  if (heard.requests.length > passedOn) {
    isSafe = false
    const target = heard.requests[passedOn]!
    differences.push(
      `the upstream was sent ${target.method} ${target.target.slice(0, 40)}, which should have been refused`,
    )
  }
  if (played.answers.length > one.expect.length) differences.push('the client heard more answers than it asked for')
  if (played.rest === 'garbage') differences.push('the client heard what is no HTTP')
  if (played.hangs) differences.push('the connection hangs')
  return { word: words.join(', '), isSafe, differences }
}

function refusalDifferences(one: HttpCase, outcome: Outcome, played: Played, at: number): string[] {
  const answer = played.answers[at]
  if ('closed' in outcome) return answer ? [`the client heard ${answer.status} instead of nothing`] : []
  if (!('refused' in outcome)) return []
  if (!answer) return [`the client heard nothing instead of ${outcome.refused.join(' or ')}`]
  const found: string[] = []
  if (!outcome.refused.includes(answer.status))
    found.push(`the client heard ${answer.status} instead of ${outcome.refused.join(' or ')}`)
  if (!played.isClosed && !one.mayStay)
    found.push('the connection was kept, although nobody knows where the next request begins')
  return found
}

function wordOf(status: number | undefined, request: ParsedRequest | undefined, { hangs }: Played): string {
  if (status === undefined) return hangs ? 'hangs' : 'closed'
  return status === 200 && request ? 'forwarded' : String(status)
}

const framing =
  /^(host|connection|content-length|transfer-encoding|user-agent|x-forwarded-[a-z]+|x-request-id|via|date)$/

function differenceOf(request: ParsedRequest | undefined, expected: Forwarded): string | null {
  if (!request) return 'nothing was passed on'
  const line = `${request.method} ${request.target}`
  if (line !== expected.line) return `passed on as ${line.slice(0, 60)} instead of ${expected.line.slice(0, 60)}`
  if (request.body !== expected.body) return `passed on with the body ${JSON.stringify(request.body.slice(0, 60))}`
  const wanted = new Set(expected.headers)
  const sent = joined(request.headers)
    .filter(([name]) => !framing.test(name) || [...wanted].some((header) => header.startsWith(`${name}:`)))
    .map(([name, value]) => `${name}: ${value}`)
  const more = sent.find((header) => !wanted.has(header))
  if (more !== undefined) return `passed on with the header ${JSON.stringify(more.slice(0, 60))}`
  const missing = expected.headers.find((header) => !sent.includes(header))
  return missing === undefined ? null : `passed on without the header ${JSON.stringify(missing.slice(0, 60))}`
}

/** Lines of one name are one list to whoever reads them (RFC 9110 §5.3; cookies: RFC 6265 §5.4), so it does not matter which is sent. */
function joined(headers: ParsedRequest['headers']): [name: string, value: string][] {
  const values = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = values.get(name)
    values.set(name, before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`)
  }
  return [...values]
}

function methodOf({ send }: HttpCase, at: number): string {
  const text = send.filter((piece) => typeof piece === 'string').join('')
  const heads = [...text.matchAll(/(?:^|\r\n|\})([A-Z]+) \S+ HTTP\/1/g)]
  return heads[at]?.[1] ?? 'GET'
}
