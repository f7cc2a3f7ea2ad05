/** The client's parser of answers: however the bytes are cut it reads the same, and what is whole for it is the same for Node's parser. */
import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  readNodes,
  readOurs,
  someAnswer,
  withoutRest,
  type Answer,
  type Reading,
} from '../../core/upstream/http1-fuzz.fixture.ts'
import type { Random } from './random.ts'
import { Choices, Fault, latin, type FuzzTarget } from './target.ts'

const words =
  'HTTP/1.1 HTTP/1.0 200 OK 204 304 100 101 999 content-length: transfer-encoding: chunked gzip, connection: close keep-alive upgrade 0 5 7 ' +
  'ffffffff ;a ;a="x" : ; , {"a":1} set-cookie: x: trailer'

export const answer: FuzzTarget = {
  name: 'answer',
  about: "the client's parser of answers, cut anywhere, and beside Node's own on the same bytes",
  covers: ['core/upstream/http1-answer.ts', 'core/upstream/http1-head.ts', 'core/upstream/headers.ts'],
  starts: latin(
    '\x00\x00HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}',
    '\x02\x03\x04\x05HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx: 1\r\n\r\n',
    '\x01\x00HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 caf\xe9\r\nconnection: close\r\n\r\nx',
  ),
  words: [
    ...latin(...words.split(' ')),
    ...latin('\r\n', '\r\n\r\n', '\n', '\r', ' ', '\t', '\0', '0\r\n\r\n', '\r\n x', '\x80'),
  ],
  longest: 2000,
  batch: 200,
  make,
  open: async () => ({ run, async [Symbol.asyncDispose]() {} }),
}

function make(random: Random): Buffer {
  const { method, bytes, ends } = someAnswer((limit) => random.below(limit))
  const cuts = Array.from({ length: random.below(4) }, () => random.below(256))
  return Buffer.concat([Buffer.of((method === 'HEAD' ? 1 : 0) + (ends ? 2 : 0), cuts.length, ...cuts), bytes])
}

async function run(input: Buffer): Promise<string> {
  const choices = new Choices(input)
  const kind = choices.below(4)
  const places = Array.from({ length: choices.below(8) }, () => choices.below(256))
  const bytes = choices.rest()
  const given: Answer = { method: kind % 2 === 1 ? 'HEAD' : 'GET', bytes, ends: kind > 1 }
  const whole = readOurs(given, [])
  const cuts = places.map((place) => place % (bytes.length + 1)).toSorted((one, other) => one - other)
  for (const some of [cuts, Array.from({ length: bytes.length }, (_, at) => at)])
    if (!isDeepStrictEqual(settled(readOurs(given, some)), settled(whole)))
      throw new Fault('cuts change nothing', some.join())
  // What stands behind an answer belongs to none; parsers differ in whether they look at it.
  const alone = withoutRest(given)
  const ours = readOurs(alone, [])
  if (ours.outcome !== 'whole') return `${ours.outcome} ${ours.why}`
  const reading = readNodes(alone)
  for (let turns = 0; turns < 3; turns++) await turn()
  const nodes = reading()
  if (nodes.outcome !== 'whole') throw new Fault("what is whole is whole for Node's parser", nodes.why || nodes.outcome)
  if (ours.status !== nodes.status || ours.body !== nodes.body)
    throw new Fault("status and body are those of Node's parser")
  if (!isDeepStrictEqual(ours.headers, nodes.headers)) throw new Fault("headers are those of Node's parser")
  return `whole ${ours.status}`
}

/** Which of two faults is met first may depend on the cuts; that there is one may not. */
function settled({ why: _why, ...reading }: Reading): Omit<Reading, 'why'> {
  return reading
}
