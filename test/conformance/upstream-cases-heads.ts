/** Answers by their status lines and header lines. */
import { answer, body, end, evil, isNone, json, passes, reset, type UpstreamCase, whole } from './upstream-case.ts'

const headLines: Readonly<Record<string, string>> = {
  'without a colon': 'nonsense',
  'without a name': ': 1',
  'with a space before the colon': 'x : 1',
  'with a space in the name': 'x y: 1',
  'with NUL in the value': 'x: a\0b',
  'with NUL in the name': 'x\0: 1',
  'with a bare CR in the value': 'x: a\rb',
  'with a bell in the value': 'x: a\x07b',
  'with DEL in the value': 'x: a\x7fb',
  'with latin-1 in the name': 'caf\xe9: 1',
  'with a slash in the name': 'x/y: 1',
  'of 100 000 bytes': `x: ${'y'.repeat(100_000)}`,
}

const statusLines: Readonly<Record<string, string>> = {
  'with the status 000': 'HTTP/1.1 000 Nothing',
  'with the status 099': 'HTTP/1.1 099 Nothing',
  'with the status 1000': 'HTTP/1.1 1000 Many',
  'with a status of two digits': 'HTTP/1.1 20 OK',
  'with a status of letters': 'HTTP/1.1 abc OK',
  'with a negative status': 'HTTP/1.1 -200 OK',
  'without a status': 'HTTP/1.1',
  'of HTTP/3.7': 'HTTP/3.7 200 OK',
  'of another protocol': 'ICY 200 OK',
  'that is a request': 'GET /v1/x HTTP/1.1',
}

export const headCases: readonly UpstreamCase[] = [
  // GET may be sent once more where a kept connection ends under it (RFC 9112 §9.3.1); the second time the upstream answers.
  isNone('nothing, and the end', '9112 §8', [end], [200, 502]),
  isNone('nothing, and a reset', '9112 §8', [reset], [200, 502]),
  isNone('nothing, and the end, to a POST', '9112 §8', [end], [502], { method: 'POST' }),
  isNone('nothing, and a reset, to a POST', '9112 §8', [reset], [502], { method: 'POST' }),
  isNone('what is no HTTP', '9112 §4', 'hello\r\n\r\n'),
  isNone('a page without a head, as in HTTP/0.9', '9112 §4', ['<html>hello</html>', end]),
  isNone('a head that ends in the middle', '9112 §8', ['HTTP/1.1 200 OK\r\nx: ', end]),
  ...Object.entries(statusLines).map(([name, line]) =>
    isNone(`a status line ${name}`, '9112 §4', [`${line}\r\n${json}\r\ncontent-length: 7\r\n\r\n${body}`, end]),
  ),
  passes('a status line without a reason', '9112 §4', whole().replace(' OK', ' '), body),
  passes('a status line without a reason or its space', '9112 §4', whole().replace(' OK', ''), body),
  passes('a status line with a reason of latin-1', '9112 §4', whole().replace(' OK', ' caf\xe9'), body),
  passes(
    'a status line with NUL in its reason, which is not passed on',
    '9112 §4',
    whole().replace(' OK', ' O\0K'),
    body,
  ),
  passes('a status line of HTTP/2.0, which is read as HTTP/1.1', '9112 §2.3', whole().replace('1.1', '2.0'), body),
  passes('the status 299', '9110 §15', whole().replace('200', '299'), body, { status: 299 }),
  passes('the status 599', '9110 §15', whole().replace('200', '599'), body, { status: 599 }),
  passes('the status 999', '9110 §15', whole().replace('200', '999'), body, { status: 999 }),
  ...Object.entries(headLines).map(([name, line]) =>
    isNone(`a header line ${name}`, '9112 §5', answer('200 OK', json, line, 'content-length: 7') + body),
  ),
  isNone('lines ended by bare LFs', '9112 §2.2', whole().replaceAll('\r\n', '\n')),
  isNone('headers without an end', '9112 §5', `HTTP/1.1 200 OK\r\n${'x: 1234567890\r\n'.repeat(10_000)}`),
  passes('a header named constructor', '9110 §5.1', whole(body, 'constructor: 1'), body, { has: ['constructor: 1'] }),
  passes('a header named __proto__', '9110 §5.1', whole(body, '__proto__: 1', '__proto__: 2'), body),
  passes('bytes beyond ASCII in a value', '9110 §5.5', whole(body, 'x: caf\xe9'), body, { has: ['x: caf\xe9'] }),
  passes(
    'headers of one hop',
    '9110 §7.6.1',
    whole(body, 'keep-alive: timeout=5', 'proxy-authenticate: Basic', 'upgrade: h2c', 'connection: x-hop', 'x-hop: 1'),
    body,
    {
      lacks: ['proxy-authenticate', 'upgrade', 'x-hop'],
    },
  ),
  passes('Connection that names the length', '9110 §7.6.1', whole(body, 'connection: content-length'), body, {
    has: ['content-length: 7'],
  }),
  passes('Connection: close, and a second answer', '9112 §9.6', whole(body, 'connection: close') + evil, body, {
    isSpent: true,
  }),
  passes('two cookies', '6265 §3', whole(body, 'set-cookie: a=1', 'set-cookie: b=2'), body, {
    has: ['set-cookie: a=1, b=2'],
  }),
]
