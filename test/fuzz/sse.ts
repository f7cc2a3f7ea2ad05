/** core/sse.ts: however the bytes are cut the events are the same, and they are those of a reader that follows the standard to the letter. */
import { eventData, EventReader, withData } from '../../core/sse.ts'
import { Choices, Fault, utf8, type FuzzTarget } from './target.ts'

export const sse: FuzzTarget = {
  name: 'sse',
  about:
    'core/sse.ts, however the bytes are cut, against a reference of the standard; edits of data leave the rest as it is',
  covers: ['core/sse.ts', 'test/fuzz/sse.ts'],
  starts: utf8(
    '\x00\x00event: a\ndata: 1\n\n: comment\n\ndata: 2\ndata: 3\n\n',
    '\x03\x05\x01event: a\r\ndata: {"x":1}\r\n\r\n: c\r\n\r\ndata:2\r\n\r\n',
    '\x02\x01\x01data: 1\rid: 7\r\rdata\r\r',
  ),
  words: utf8(
    'data: ',
    'data:',
    'data',
    'event: ',
    'id: ',
    ': ',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\r\r',
    '\r\n\r\n',
    '\n\r',
    '\ufeff',
    '😀',
  ),
  longest: 2048,
  batch: 2000,
  open: async () => ({ run, async [Symbol.asyncDispose]() {} }),
}

const marker = Buffer.from('{"edited":true}')

function run(input: Buffer): string {
  const choices = new Choices(input)
  const cuts = Array.from({ length: choices.below(8) }, () => choices.below(256))
  const bytes = choices.rest()
  const whole = readAll(bytes, [])
  const wanted = dataOf(bytes.toString('latin1'))
  compare('events are those of the standard', whole.events, wanted)
  for (const pieces of [cuts, bytes.length < 300 ? Array.from({ length: bytes.length }, () => 1) : []])
    compare('cuts change nothing', readAll(bytes, pieces).events, wanted)
  for (const event of whole.all) {
    const edited = withData(event, marker)
    const data = eventData(event)
    const found = eventData(edited)
    if (data === null ? !edited.equals(event) : !found?.equals(marker))
      throw new Fault('data that is set is read again')
    if (linesBeside(edited) !== linesBeside(event)) throw new Fault('setting data leaves the other lines')
  }
  return `${Math.min(whole.all.length, 3)} events, ${Math.min(wanted.length, 3)} with data, rest ${whole.rest > 0}`
}

/** Reads the bytes in pieces of these lengths, the last as long as it takes. */
function readAll(bytes: Buffer, pieces: readonly number[]): { all: Buffer[]; events: string[]; rest: number } {
  const reader = new EventReader()
  const all: Buffer[] = []
  let at = 0
  for (const length of [...pieces, bytes.length]) {
    all.push(...reader.push(bytes.subarray(at, at + length)))
    at = Math.min(bytes.length, at + length)
  }
  const rest = reader.rest()
  if (!Buffer.concat([...all, rest]).equals(bytes)) throw new Fault('no byte is lost')
  return { all, events: all.map(eventData).flatMap((data) => data?.toString('latin1') ?? []), rest: rest.length }
}

/** What the standard makes of a stream (HTML §9.2.6), but for the byte order mark, which stays what it is. */
function dataOf(stream: string): string[] {
  const events: string[] = []
  let data: string[] = []
  const lines = stream.split(/\r\n|\n|\r/)
  // What stands behind the last line end is no line yet.
  for (const line of lines.slice(0, -1)) {
    if (line === '') {
      if (data.length > 0) events.push(data.join('\n'))
      data = []
      continue
    }
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    if (field === 'data') data.push(colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, ''))
  }
  return events
}

function linesBeside(event: Buffer): string {
  return event
    .toString('latin1')
    .split(/\r\n|\n|\r/)
    .filter((line) => line !== '' && line !== 'data' && !line.startsWith('data:'))
    .join('\n')
}

function compare(rule: string, found: readonly string[], wanted: readonly string[]): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new Fault(rule, `${JSON.stringify(found).slice(0, 200)} instead of ${JSON.stringify(wanted).slice(0, 200)}`)
}
