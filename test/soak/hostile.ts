/** Requests that nobody should send. Each has to be refused with a word, or its connection ended; never passed on, never an error of ours. */
import { connect } from 'node:net'

interface Hostile {
  readonly name: string
  readonly send: string
  /** The statuses with which it may be refused; the end of the connection is as good where `mayBeSilent`. */
  readonly statuses: readonly number[]
  readonly mayBeSilent?: true
}

const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`
const key = (name: string) => `authorization: Bearer ${name}`

/** The requests; `good` is a key that is let in. */
export function hostileRequests(good: string): readonly Hostile[] {
  const post = (...lines: string[]) => head('POST /v1/chat/completions HTTP/1.1', 'host: gate', key(good), ...lines)
  return [
    { name: 'not HTTP', send: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', statuses: [400], mayBeSilent: true },
    {
      name: 'two framings',
      send: `${post('content-length: 5', 'transfer-encoding: chunked')}0\r\n\r\n`,
      statuses: [400],
    },
    { name: 'two lengths', send: `${post('content-length: 5', 'content-length: 6')}hello!`, statuses: [400] },
    { name: 'a bad chunk', send: `${post('transfer-encoding: chunked')}zz\r\nhello\r\n`, statuses: [400] },
    { name: 'two hosts', send: head('GET /v1/models HTTP/1.1', 'host: a', 'host: b'), statuses: [400] },
    { name: 'dot segments', send: head('GET /v1/../admin HTTP/1.1', 'host: gate', key(good)), statuses: [400] },
    { name: 'CONNECT', send: head('CONNECT 10.0.0.1:22 HTTP/1.1', 'host: 10.0.0.1:22'), statuses: [400, 405, 501] },
    { name: 'TRACE', send: head('TRACE / HTTP/1.1', 'host: gate', key(good)), statuses: [405] },
    { name: 'a long header', send: post(`x-long: ${'a'.repeat(70_000)}`), statuses: [431] },
    { name: 'many headers', send: post(...Array.from({ length: 3000 }, (_, at) => `x-${at}: 1`)), statuses: [431] },
    { name: 'no JSON', send: `${post('content-type: application/json', 'content-length: 5')}{"a":`, statuses: [400] },
    { name: 'too large', send: post('content-type: application/json', 'content-length: 99999999999'), statuses: [413] },
    { name: 'no key', send: head('GET /v1/models HTTP/1.1', 'host: gate'), statuses: [401] },
    // While the database is away nobody can say whose it is.
    {
      name: 'a key of nobody',
      send: head('GET /v1/models HTTP/1.1', 'host: gate', key('nobody')),
      statuses: [401, 503],
    },
    {
      name: 'an empty upgrade',
      send: head('GET /v1/responses HTTP/1.1', 'host: gate', key(good), 'upgrade: websocket', 'connection: upgrade'),
      statuses: [400, 426],
    },
  ]
}

/** Null: it was refused as it should be; else what happened. */
export async function provoke(port: number, { name, send, statuses, mayBeSilent }: Hostile): Promise<string | null> {
  const answer = await new Promise<string>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let text = ''
    const timer = setTimeout(() => socket.destroy(), 20_000)
    socket.setEncoding('latin1').on('data', (more: string) => {
      text += more
      // A refusal that keeps the connection is whole with its head, for our purposes.
      if (text.includes('\r\n\r\n')) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(text)
    })
    socket.write(send, 'latin1')
  })
  if (answer === '' && mayBeSilent) return null
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])
  return statuses.includes(status) ? null : `${name} was answered with ${JSON.stringify(answer.slice(0, 200))}`
}
