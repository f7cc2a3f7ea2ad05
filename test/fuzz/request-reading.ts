/**
 * What bytes on a client's connection say, read by the letter of RFC 9112, with every freedom that it gives a recipient and none that
 * it does not: empty lines in front, chunk extensions, trailers, white space around values. It shares no code with the gateway or with
 * Node's parser. The gateway may refuse what is read here; it may pass on nothing else.
 */

export interface ReadRequest {
  readonly method: string
  /** As it is written. */
  readonly target: string
  /** Names lower case, values trimmed, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/** The requests that a connection holds, in order, up to the first that is none or has not come whole. */
export function readRequests(bytes: string): ReadRequest[] {
  const requests: ReadRequest[] = []
  for (let at = 0; at < bytes.length;) {
    // Empty lines in front are skipped (§2.2); Node's parser skips either half of their ends too, which frames nothing.
    while (bytes[at] === '\r' || bytes[at] === '\n') at++
    const next = readRequest(bytes, at)
    if (next === null) break
    requests.push(next.request)
    at = next.end
  }
  return requests
}

// More than one space is read as one where a recipient likes (§3); only one is passed on.
const line = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([!-~\x80-\xff]+) +HTTP\/1\.([01])$/
const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/

function readRequest(bytes: string, start: number): { request: ReadRequest; end: number } | null {
  const stop = bytes.indexOf('\r\n\r\n', start)
  if (stop === -1) return null
  const [first = '', ...lines] = bytes.slice(start, stop).split('\r\n')
  const words = line.exec(first)
  const headers = readFields(lines)
  if (!words || !headers) return null
  const named = (name: string) => headers.filter(([one]) => one === name).map(([, value]) => value)
  const [codings, lengths] = [named('transfer-encoding'), named('content-length')]
  const [, method = '', target = '', minor] = words
  const read = (body: string, end: number) => ({ request: { method, target, headers, body }, end })
  if (codings.length > 0) {
    // A message that is framed twice, or by what 1.0 does not know, is read by nobody alike.
    if (codings.length + lengths.length > 1 || codings[0]!.toLowerCase() !== 'chunked' || minor === '0') return null
    const chunks = readChunks(bytes, stop + 4)
    return chunks && read(chunks.body, chunks.end)
  }
  if (lengths.length === 0) return read('', stop + 4)
  if (lengths.length > 1 || !/^\d+$/.test(lengths[0]!)) return null
  const end = stop + 4 + Number(lengths[0])
  return end > bytes.length ? null : read(bytes.slice(stop + 4, end), end)
}

function readFields(lines: readonly string[]): (readonly [string, string])[] | null {
  const fields: (readonly [string, string])[] = []
  for (const one of lines) {
    const found = field.exec(one)
    if (!found) return null
    fields.push([found[1]!.toLowerCase(), found[2]!])
  }
  return fields
}

const chunkLine = /^([0-9A-Fa-f]+)[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/

function readChunks(bytes: string, start: number): { body: string; end: number } | null {
  let body = ''
  for (let at = start; ;) {
    const stop = bytes.indexOf('\r\n', at)
    const size = Number.parseInt((stop === -1 ? null : chunkLine.exec(bytes.slice(at, stop)))?.[1] ?? 'none', 16)
    if (Number.isNaN(size)) return null
    at = stop + 2
    if (size === 0) return readTrailers(bytes, at, body)
    body += bytes.slice(at, at + size)
    if (bytes.slice(at + size, at + size + 2) !== '\r\n') return null
    at += size + 2
  }
}

function readTrailers(bytes: string, start: number, body: string): { body: string; end: number } | null {
  if (bytes.startsWith('\r\n', start)) return { body, end: start + 2 }
  const stop = bytes.indexOf('\r\n\r\n', start)
  return stop === -1 || !readFields(bytes.slice(start, stop).split('\r\n')) ? null : { body, end: stop + 4 }
}
