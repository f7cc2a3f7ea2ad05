/**
 * Bytes of a client on a real socket of a running gateway, with a strict upstream behind it. Whatever they are: nobody crashes or
 * hangs; what reaches the upstream is one request that every server reads alike, one that the client did send, and the very one that
 * plugins saw; the next client is served.
 */
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { definePlugin } from 'postern/plugin'
import { httpCases } from '../conformance/http-cases.ts'
import { parseAnswers } from '../conformance/http-answers.ts'
import { portOf, wire } from '../conformance/http-gateway.ts'
import type { ParsedRequest } from '../conformance/http-parse.ts'
import { recordingUpstream, type RecordingUpstream } from '../conformance/http-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import type { Random } from './random.ts'
import { readRequests, type ReadRequest } from './request-reading.ts'
import { Fault, latin, type FuzzTarget } from './target.ts'

const words =
  'GET POST HEAD PUT OPTIONS TRACE CONNECT PRI / /v1/x * http://gate/v1/x HTTP/1.1 HTTP/1.0 HTTP/2.0 /%2e%2e/ /../ %00 %zz // ? # \\ host: gate host: ' +
  'content-length: transfer-encoding: chunked identity gzip, connection: close keep-alive upgrade websocket te: trailers expect: 100-continue ' +
  'content-type: application/json text/plain x-a: {"a":1} 0 5 7 ffffffff ;a=b ; , : \t'

/** The bytes of some cases of the table of requests, of each kind; the table's own test plays them all. */
const cases = Object.values(httpCases)
  .flat()
  .map(({ send }) => send.filter((piece) => typeof piece === 'string').join(''))
  .filter((text, at) => at % 8 === 0 && text.length <= 700)

export const request: FuzzTarget = {
  name: 'request',
  about:
    'bytes of a client on a real socket: no crash, no hang, nothing passed on but what was sent, seen by plugins, and read alike by all',
  covers: ['core/'],
  starts: latin(
    'GET /v1/x HTTP/1.1\r\nhost: gate\r\n\r\n',
    'POST /v1/x?a=b HTTP/1.1\r\nhost: gate\r\ncontent-length: 7\r\n\r\n{"a":1}GET /v1/y HTTP/1.1\r\nhost: gate\r\n\r\n',
    'POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx-t: 1\r\n\r\n',
    ...cases,
  ),
  words: [
    ...latin(...words.split(' ')),
    ...latin('\r\n', '\r\n\r\n', '\n', '\r', ' ', '\0', '\r\n ', '\r\n\t', '0\r\n\r\n', '\x0b', '\x85', '\xa0'),
  ],
  longest: 4000,
  batch: 20,
  make,
  async open() {
    const upstream = await recordingUpstream()
    const seen: Seen[] = []
    const gw = await gateway({
      plugins: [spy(seen), wire],
      upstreams: [{ name: 'one', provider: 'wire', url: upstream.url }],
      limits: { head_time: '2s', body_time: '2s' },
    })
    return {
      run: (input) => run({ gw, upstream, seen }, input),
      async [Symbol.asyncDispose]() {
        await gw[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      },
    }
  },
}

/** One request or several, as they should be. */
function make(random: Random): Buffer {
  return Buffer.from(Array.from({ length: 1 + random.below(3) }, () => one(random)).join(''), 'latin1')
}

function one(random: Random): string {
  const target = random.pick([
    '/v1/x',
    '/v1/x?a=b&c',
    '/v1/%41/b%2Fc',
    '/',
    'http://gate/v1/x',
    '//x',
    '/v1/x%20y',
    '/a;b=c',
  ])
  const lines = Array.from({ length: random.below(4) }, () => random.pick(fields))
  const body = '{"a":1}'.repeat(random.below(4))
  const framing = random.below(4)
  const method =
    framing === 0 ? random.pick(['GET', 'HEAD', 'OPTIONS', 'DELETE', 'POST']) : random.pick(['POST', 'PUT'])
  const framed =
    framing === 0 ? '' : framing === 1 ? `content-length: ${body.length}\r\n` : 'Transfer-Encoding: Chunked\r\n'
  const chunks =
    framing > 1
      ? `${body === '' ? '' : `${body.length.toString(16)}${random.pick(['', ';a', ';a=b'])}\r\n${body}\r\n`}0\r\n`
      : ''
  const content = framing === 0 ? '' : framing === 1 ? body : `${chunks}${random.pick(['', 'x-t: 1\r\n'])}\r\n`
  return `${method} ${target} HTTP/1.1\r\nHost: gate\r\n${lines.map((line) => `${line}\r\n`).join('')}${framed}\r\n${content}`
}

const fields = [
  'content-type: application/json',
  'content-type: text/plain',
  'connection: keep-alive, x-hop',
  'connection: close',
  'x-hop: 1',
  'te: trailers',
  'expect: 100-continue',
  'x-a:',
  'x-a: caf\xe9',
  'x-forwarded-for: 1.2.3.4',
  'x-request-id: mine',
  'upgrade: websocket',
  'keep-alive: timeout=5',
  'content-encoding: gzip',
]

/** What a plugin saw of a request that it let pass. */
interface Seen {
  readonly method: string
  readonly target: string
  readonly headers: ReadonlySet<string>
}

function spy(seen: Seen[]) {
  return definePlugin({
    name: 'spy',
    config: { type: 'object', additionalProperties: false, properties: {} },
    setup: () => ({
      onRequest({ method, path, query, headers }) {
        seen.push({ method, target: path + query, headers: new Set(Object.keys(headers)) })
      },
    }),
  })
}

interface Scene {
  readonly gw: TestGateway
  readonly upstream: RecordingUpstream
  readonly seen: Seen[]
}

/** What is sent behind each input: it is the next request or part of the one before, and never anything else. */
const follower = 'GET /v1/follower HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n'

async function run({ gw, upstream, seen }: Scene, input: Buffer): Promise<string> {
  seen.length = 0
  const sent = input.toString('latin1') + follower
  const said = readRequests(sent)
  const heard = await talk(gw, sent)
  await idle(gw)
  const { requests, violations } = upstream.take()
  if (violations.length > 0) throw new Fault('every server reads alike what is passed on', violations[0])
  checkPassedOn(requests, said, seen)
  const methods = said.map(({ method }) => method)
  let { answers, rest } = parseAnswers(heard, methods, true)
  // Whose head is refused by the parser is answered as if nobody knew its method, which a HEAD takes for a body; the connection ends.
  if (rest === 'garbage') ({ answers, rest } = parseAnswers(heard, methods.with(answers.length - 1, 'GET'), true))
  if (rest === 'garbage') throw new Fault('the client is told HTTP', JSON.stringify(heard.slice(0, 200)))
  if (answers.length > said.length + 1) throw new Fault('nobody is told more than was asked')
  // The log is kept by the harness; nobody reads it here.
  ;(gw.records as unknown[]).length = 0
  return `${answers.map(({ status }) => status).join(' ')}, ${requests.length} passed on`
}

/** Each is the next of those that the client sent and of those that plugins saw. */
function checkPassedOn(requests: readonly ParsedRequest[], said: readonly ReadRequest[], seen: readonly Seen[]): void {
  let [read, known] = [0, 0]
  for (const { method, target, headers, body } of requests) {
    const shown = `${method} ${target.slice(0, 80)}`
    const names = headers.map(([name]) => name).filter((name) => !ours.test(name))
    // One that was refused may look like one that was passed on; that has all its headers.
    const isMine = (one: Seen) =>
      one.method === method && one.target === target && names.every((name) => one.headers.has(name))
    while (known < seen.length && !isMine(seen[known]!)) known++
    if (!seen[known++]) throw new Fault('plugins see what is passed on, and its headers', `${shown} ${names.join(' ')}`)
    while (read < said.length && !isSame(said[read]!, { method, target, body })) read++
    if (!said[read++]) throw new Fault('what is passed on was sent', shown)
  }
}

/** What the gateway adds. */
const ours =
  /^(host|connection|content-length|transfer-encoding|x-request-id|x-forwarded-.*|via|user-agent|traceparent)$/

function isSame(
  said: ReadRequest,
  { method, target, body }: { method: string; target: string; body: string },
): boolean {
  return said.method === method && said.body === body && plain(said.target) === plain(target)
}

/** The same path in one spelling: without the scheme and host of an absolute target, unreserved characters bare. */
function plain(target: string): string {
  const origin = target.replace(/^https?:\/\/[^/?]*/i, '').replace(/^(?!\/)/, '/')
  const [path = '', ...query] = origin.split('?')
  const bare = path.replaceAll(/%([0-9A-Fa-f]{2})/g, (escape, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16))
    return /[A-Za-z0-9._~-]/.test(character) ? character : escape
  })
  return [bare, ...query].join('?')
}

/** Sends, listens until nothing more comes, then ends its side; the gateway has to end the connection in time. */
function talk(gw: TestGateway, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(portOf(gw), '127.0.0.1')
    let heard = ''
    // A connection that waits for more is ended; one that is being closed closes by itself.
    const quiet = setTimeout(() => socket.end(), 8)
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Fault('a connection ends', JSON.stringify(heard.slice(-200))))
    }, 6000)
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      quiet.refresh()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(quiet)
      clearTimeout(late)
      resolve(heard)
    })
    socket.write(bytes, 'latin1')
  })
}

/** Until no exchange is under way: what the client has left may still be on its way up. */
async function idle(gw: TestGateway): Promise<void> {
  const end = performance.now() + 5000
  while (gw.sidecar.server.gateway.exchanges.length > 0) {
    if (performance.now() > end) throw new Fault('an exchange ends with its connection')
    await turn()
  }
}
