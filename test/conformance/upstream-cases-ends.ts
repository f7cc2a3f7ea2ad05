/** Answers by where they end: lengths, chunks, the connection. */
import { bytesOf } from './http-case.ts'
import {
  answer,
  body,
  breaks,
  end,
  evil,
  isNone,
  json,
  passes,
  reset,
  type UpstreamCase,
  whole,
} from './upstream-case.ts'

const chunks = (text: string, ...lines: string[]) =>
  answer('200 OK', json, ...lines, 'transfer-encoding: chunked') + text
const last = '0\r\n\r\n'

const lengths: Readonly<Record<string, string>> = {
  'with a plus sign': '+7',
  'with a minus sign': '-7',
  'in hexadecimal': '0x7',
  'that is empty': '',
  'that is a list of equals': '7, 7',
  'that is a list of two': '7, 8',
  'with a letter': '7a',
  'with a decimal point': '7.5',
  'beyond 64 bits': '99999999999999999999999',
  'with a space inside': '7 7',
}

const codings: Readonly<Record<string, string>> = {
  'gzip before chunked': 'gzip, chunked',
  'chunked twice': 'chunked, chunked',
  identity: 'identity',
  'an unknown word': 'xchunked',
  'chunked before gzip': 'chunked, gzip',
}

/** What an answer in another transfer coding needs: a refusal in `Attempt.onHeaders`, where nothing is settled yet. */

export const endCases: readonly UpstreamCase[] = [
  passes('a body of known length', '9112 §6.3', whole(), body),
  passes('chunks', '9112 §7.1', chunks(`7\r\n${body}\r\n${last}`), body),
  passes('chunks in pieces of one byte', '9112 §7.1', bytesOf(chunks(`7\r\n${body}\r\n${last}`)), body),
  passes('a body that ends with the connection', '9112 §6.3', [answer('200 OK', json) + body, end], body, {
    isSpent: true,
  }),
  passes('a body of HTTP/1.0', '9112 §6.3', [`HTTP/1.0 200 OK\r\n${json}\r\n\r\n${body}`, end], body, {
    isSpent: true,
  }),
  isNone(
    'two Content-Lengths that differ',
    '9112 §6.3',
    answer('200 OK', 'content-length: 7', 'content-length: 8') + body,
  ),
  isNone(
    'two Content-Lengths that agree',
    '9112 §6.3',
    answer('200 OK', 'content-length: 7', 'content-length: 7') + body,
  ),
  ...Object.entries(lengths).map(([name, length]) =>
    isNone(`Content-Length ${name}`, '9112 §6.3', [answer('200 OK', `content-length: ${length}`) + body, end]),
  ),
  isNone(
    'Content-Length, then Transfer-Encoding',
    '9112 §6.3',
    answer('200 OK', 'content-length: 3', 'transfer-encoding: chunked') + `7\r\n${body}\r\n${last}`,
  ),
  isNone(
    'Transfer-Encoding, then Content-Length',
    '9112 §6.3',
    answer('200 OK', 'transfer-encoding: chunked', 'content-length: 3') + `7\r\n${body}\r\n${last}`,
  ),
  ...Object.entries(codings).map(([name, coding]) =>
    isNone(
      `Transfer-Encoding: ${name}`,
      '9112 §6.1',
      [answer('200 OK', `transfer-encoding: ${coding}`) + `7\r\n${body}\r\n${last}`, end],
      [502],
    ),
  ),
  passes(
    'Transfer-Encoding on HTTP/1.0',
    '9112 §6.1',
    [`HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n${body}\r\n${last}`, end],
    body,
    { isSpent: true },
  ),
  passes('more bytes than were announced', '9112 §6.3', `${whole()}xxxx`, body, { isSpent: true }),
  passes('a second answer right behind the first', '9112 §9.2', whole() + evil, body, { isSpent: true }),
  passes('a second answer a moment behind the first', '9112 §9.2', [whole(), 15, evil], body, { isSpent: true }),
  passes('a second answer behind the last chunk', '9112 §9.2', chunks(`7\r\n${body}\r\n${last}`) + evil, body, {
    isSpent: true,
  }),
  breaks('fewer bytes than were announced', '9112 §8', [answer('200 OK', json, 'content-length: 99') + body, end]),
  breaks('fewer bytes than were announced, and a reset', '9112 §8', [
    answer('200 OK', json, 'content-length: 99') + body,
    15,
    reset,
  ]),
  breaks('chunks without the last one', '9112 §8', [chunks(`7\r\n${body}\r\n`), end]),
  breaks('chunks that end in the middle of one', '9112 §8', [chunks('7\r\n{"a"'), end]),
  breaks('a chunk size that is none', '9112 §7.1', chunks(`7\r\n${body}\r\nxyz\r\n`)),
  breaks('a chunk size of 2^64', '9112 §7.1', chunks(`7\r\n${body}\r\n10000000000000000\r\n`)),
  breaks('a chunk longer than its size', '9112 §7.1', chunks(`6\r\n${body}\r\n${last}`)),
  breaks('a chunk ended by a bare LF', '9112 §7.1', chunks(`7\n${body}\n0\n\n`)),
  mayBreak(
    passes(
      'a chunk extension of 100 000 bytes',
      '9112 §7.1.1',
      chunks(`7;${'x'.repeat(100_000)}\r\n${body}\r\n${last}`),
      body,
    ),
  ),
  passes(
    'a trailer, which is dropped',
    '9110 §6.5',
    chunks(`7\r\n${body}\r\n0\r\nx-sum: 1\r\n\r\n`, 'trailer: x-sum'),
    body,
    { lacks: ['trailer', 'x-sum'] },
  ),
  breaks('trailers without an end', '9110 §6.5', chunks(`7\r\n${body}\r\n0\r\n${'x: y\r\n'.repeat(20_000)}`)),
  passes(
    'HEAD with the length of what GET would bring',
    '9110 §9.3.2',
    answer('200 OK', json, 'content-length: 99'),
    '',
    { method: 'HEAD', has: ['content-length: 99'] },
  ),
  passes('HEAD with a body', '9110 §9.3.2', whole(), '', { method: 'HEAD', isSpent: true }),
  passes('204 with a body', '9110 §15.3.5', answer('204 No Content') + body, '', { status: 204, isSpent: true }),
  mayBreak(
    passes('204 with Content-Length', '9110 §8.6', answer('204 No Content', 'content-length: 7') + body, '', {
      status: 204,
      isSpent: true,
    }),
  ),
  mayBreak(
    passes(
      '304 with the length of what is not sent',
      '9110 §15.4.5',
      answer('304 Not Modified', 'content-length: 7'),
      '',
      { status: 304 },
    ),
  ),
  passes('304 with a body', '9110 §15.4.5', answer('304 Not Modified') + body, '', { status: 304, isSpent: true }),
]

/**
 * Clients differ, and either is sound: undici takes the length of a 204 or 304 for a promise and breaks it off; our own client bounds the
 * extensions of chunks as Node does.
 */
function mayBreak(one: UpstreamCase): UpstreamCase {
  return { ...one, expect: { ...one.expect, whole: [...one.expect.whole!, 502], cut: true } }
}
