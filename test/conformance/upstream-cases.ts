/** The table of answers, whole: what hostile and broken upstreams say. */
import { gzipSync } from 'node:zlib'
import { bytesOf } from './http-case.ts'
import { answer, body, breaks, end, isNone, json, passes, type UpstreamCase, whole } from './upstream-case.ts'
import { endCases } from './upstream-cases-ends.ts'
import { headCases } from './upstream-cases-heads.ts'

const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20)).toString('latin1')

const informational: readonly UpstreamCase[] = [
  isNone('100 that nobody asked for', '9110 §15.2.1', answer('100 Continue') + whole(), [200, 502]),
  passes('102', '2518 §10.1', answer('102 Processing') + whole(), body),
  passes('103 with links', '8297 §2', answer('103 Early Hints', 'link: </a>; rel=preload') + whole(), body, {
    lacks: ['link'],
  }),
  passes('103 that announces a length', '8297 §2', answer('103 Early Hints', 'content-length: 99') + whole(), body),
  passes('199', '9110 §15.2', answer('199 Whatever') + whole(), body),
  passes('fifty times 103', '9110 §15.2', answer('103 Early Hints').repeat(50) + whole(), body),
  isNone(
    '101 to a request that asked for nothing',
    '9110 §7.8',
    answer('101 Switching Protocols', 'connection: upgrade', 'upgrade: cow') + 'moo',
  ),
  isNone('101 without a protocol', '9110 §15.2.2', answer('101 Switching Protocols') + whole()),
  isNone('100 and the end', '9110 §15.2.1', [answer('100 Continue'), end]),
]

const coded = (status: string, coding: string, bytes: string) =>
  answer(status, json, `content-encoding: ${coding}`, `content-length: ${bytes.length}`) + bytes

const bodies: readonly UpstreamCase[] = [
  passes('an error whose body is a gzip bomb', '9110 §8.4', coded('500 Oops', 'gzip', bomb), bomb, {
    status: 500,
    method: 'POST',
  }),
  passes('a success whose body is a gzip bomb', '9110 §8.4', coded('200 OK', 'gzip', bomb), bomb, { method: 'POST' }),
  passes('an error that says gzip and is not', '9110 §8.4', coded('500 Oops', 'gzip', body), body, {
    status: 500,
    method: 'POST',
  }),
  passes('an error in a coding that nobody knows', '9110 §8.4', coded('500 Oops', 'cow', body), body, {
    status: 500,
    method: 'POST',
  }),
  passes('an error in gzip twice', '9110 §8.4', coded('500 Oops', 'gzip, gzip', body), body, {
    status: 500,
    method: 'POST',
  }),
  passes('an error without a body', '9110 §15.6', answer('500 Oops', 'content-length: 0'), '', {
    status: 500,
    method: 'POST',
  }),
  passes(
    'an error of a megabyte',
    '9110 §15.6',
    answer('500 Oops', 'content-length: 1048576') + 'x'.repeat(2 ** 20),
    'x'.repeat(2 ** 20),
    { status: 500, method: 'POST' },
  ),
  passes(
    'a redirect, which is not followed',
    '9110 §15.4',
    answer('302 Found', 'location: http://169.254.169.254/latest', 'content-length: 0'),
    '',
    { status: 302, has: ['location: http://169.254.169.254/latest'] },
  ),
  passes('an answer before the body was read', '9112 §9.3', whole().replace('200 OK', '413 Large'), body, {
    status: 413,
    method: 'POST',
  }),
]

/** Those that take their time: the gateway of the test waits 300 ms for a head and as long between two pieces. */
const slow: readonly UpstreamCase[] = [
  isNone('silence', '9110 §15.6.5', [1500], [504]),
  isNone(
    'a head in drops, without an end',
    '9110 §15.6.5',
    Array.from({ length: 40 }, (_, at) => [at === 0 ? 'HTTP/1.1 200 OK\r\nx: ' : 'y', 50]).flat(),
    [504],
  ),
  breaks('a head, and silence', '9110 §15.6.5', [answer('200 OK', json, 'content-length: 7'), 1500]),
  breaks('half a body, and silence', '9110 §15.6.5', [`${answer('200 OK', json, 'content-length: 7')}{"a`, 1500]),
  isNone(
    '103 for ever',
    '9110 §15.2',
    Array.from({ length: 900 }, () => [answer('103 Early Hints', `x: ${'y'.repeat(1000)}`), 2]).flat(),
    [502, 504],
  ),
  passes(
    'a body in drops',
    '9112 §6.3',
    [answer('200 OK', json, 'content-length: 7'), ...bytesOf(body).flatMap((byte) => [byte, 20])],
    body,
  ),
]

/** Every case, by subject. */
export const upstreamCases: Readonly<Record<string, readonly UpstreamCase[]>> = {
  'Where an answer ends': endCases,
  'Status lines and header lines': headCases,
  'Informational answers': informational,
  Bodies: bodies,
}

/** Those that take a second or so each. */
export const slowUpstreamCases: Readonly<Record<string, readonly UpstreamCase[]>> = { 'Slow answers': slow }
