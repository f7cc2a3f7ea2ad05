/** Reads the answers on a client's connection, as strictly as `http-parse.ts` reads requests. */

export interface HeardAnswer {
  readonly status: number
  /** Names lower case; what appears twice is joined. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface HeardAnswers {
  /** Final answers that came whole; informational ones are only counted. */
  readonly answers: readonly HeardAnswer[]
  readonly informational: number
  /** What stands behind the last whole answer: nothing, a part of one, or what no client can read. */
  readonly rest: 'nothing' | 'part' | 'garbage'
}

/** Reads what a connection has sent. `methods` are those of the requests, in order; `isClosed`: nothing will follow. */
export function parseAnswers(bytes: string, methods: readonly string[], isClosed: boolean): HeardAnswers {
  const answers: HeardAnswer[] = []
  let informational = 0
  let at = 0
  while (at < bytes.length) {
    const stop = bytes.indexOf('\r\n\r\n', at)
    if (stop === -1)
      return { answers, informational, rest: 'HTTP/1.'.startsWith(bytes.slice(at, at + 7)) ? 'part' : 'garbage' }
    const [first = '', ...lines] = bytes.slice(at, stop).split('\r\n')
    const line = /^HTTP\/1\.[01] (\d{3})( [\t\x20-\x7e\x80-\xff]*)?$/.exec(first)
    const headers = line && fieldsOf(lines)
    if (!headers) return { answers, informational, rest: 'garbage' }
    const status = Number(line[1])
    at = stop + 4
    if (status < 200 && status !== 101) {
      informational++
      continue
    }
    const end = bodyOf(bytes, at, headers, status, methods[answers.length] ?? 'GET', isClosed)
    if (end === null) return { answers, informational, rest: 'part' }
    if (end === 'garbage') return { answers, informational, rest: end }
    answers.push({ status, headers, body: end.body })
    at = end.at
  }
  return { answers, informational, rest: 'nothing' }
}

function fieldsOf(lines: readonly string[]): Record<string, string> | null {
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line)
    if (!field) return null
    const name = field[1]!.toLowerCase()
    headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${field[2]!}` : field[2]!
  }
  return headers
}

function bodyOf(
  bytes: string,
  at: number,
  headers: Readonly<Record<string, string>>,
  status: number,
  method: string,
  isClosed: boolean,
): { body: string; at: number } | 'garbage' | null {
  if (method === 'HEAD' || status === 204 || status === 304) return { body: '', at }
  const length = headers['content-length']
  if (headers['transfer-encoding'] !== undefined) {
    if (headers['transfer-encoding'] !== 'chunked' || length !== undefined) return 'garbage'
    return chunksOf(bytes, at)
  }
  if (length === undefined) return isClosed ? { body: bytes.slice(at), at: bytes.length } : null
  if (!/^\d+$/.test(length)) return 'garbage'
  const end = at + Number(length)
  return bytes.length < end ? null : { body: bytes.slice(at, end), at: end }
}

function chunksOf(bytes: string, start: number): { body: string; at: number } | 'garbage' | null {
  let body = ''
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return null
    const line = bytes.slice(at, lineEnd)
    if (!/^[0-9A-Fa-f]+$/.test(line)) return 'garbage'
    const size = Number.parseInt(line, 16)
    const data = lineEnd + 2
    if (bytes.length < data + size + 2) return null
    if (bytes.slice(data + size, data + size + 2) !== '\r\n') return 'garbage'
    if (size === 0) return { body, at: data + 2 }
    body += bytes.slice(data, data + size)
    at = data + size + 2
  }
}
