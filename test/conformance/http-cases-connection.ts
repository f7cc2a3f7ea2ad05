/** The connection: hop-by-hop headers, Expect, Upgrade, pipelining, other protocols, clients that close early. */
import { chunked, get, head, type HttpCase, type Outcome, passed, post, refused, seven, several } from './http-case.ts'

const line = 'GET /v1/x'

const forwarded = (target: string, body = '', method = 'GET'): Outcome => ({
  forwarded: { line: `${method} ${target}`, headers: [], body },
})

const left = (target: string, body = '', method = 'GET'): Outcome => ({
  left: { line: `${method} ${target}`, headers: [], body },
})

/** Headers that end at this hop. */
const hopByHop: Readonly<Record<string, readonly string[]>> = {
  'Keep-Alive': ['keep-alive: timeout=5'],
  'Proxy-Connection': ['proxy-connection: keep-alive'],
  'Proxy-Authorization': ['proxy-authorization: Basic eDp5'],
  TE: ['te: trailers'],
  'TE that is named': ['connection: te', 'te: trailers, gzip'],
  Trailer: ['trailer: x-sum'],
  'HTTP2-Settings': ['connection: upgrade, http2-settings', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQAAP__'],
  'a header that Connection names': ['connection: x-hop', 'x-hop: 1'],
  'a header that Connection names in capitals': ['Connection: X-HOP', 'x-hop: 1'],
  'a header that a list in Connection names': ['connection: keep-alive, x-hop', 'x-hop: 1'],
  'a header that the second Connection names': ['connection: keep-alive', 'connection: x-hop', 'x-hop: 1'],
  'two headers that Connection names, between empty members': ['connection: ,x-hop,, y-hop ,', 'x-hop: 1', 'y-hop: 2'],
  'a credential that Connection names': ['connection: authorization', 'authorization: Bearer x'],
}

export const connectionCases: readonly HttpCase[] = [
  ...Object.entries(hopByHop).map(([name, headers]) =>
    passed(`${name} is not passed on`, '9110 §7.6.1', get('/v1/x', ...headers), line),
  ),
  passed(
    'Connection cannot name the length away',
    '9110 §7.6.1',
    post(seven, 'content-length: 7', 'connection: content-length'),
    'POST /v1/x',
    [],
    seven,
  ),
  passed(
    'Connection cannot name the coding away',
    '9110 §7.6.1',
    chunked(`7\r\n${seven}\r\n0\r\n\r\n`, 'connection: transfer-encoding'),
    'POST /v1/x',
    [],
    seven,
  ),
  passed('Connection cannot name the host away', '9110 §7.6.1', get('/v1/x', 'connection: host'), line),
  passed('Connection: close', '9112 §9.6', get('/v1/x', 'connection: close'), line),
  passed(
    'HTTP/1.0 with keep-alive',
    '9112 §9.3',
    head('GET /v1/x HTTP/1.0', 'host: gate', 'connection: keep-alive'),
    line,
  ),
  passed(
    'HTTP/1.0 with a body',
    '9112 §6.3',
    head('POST /v1/x HTTP/1.0', 'host: gate', 'content-length: 7') + seven,
    'POST /v1/x',
    [],
    seven,
  ),
  passed('Max-Forwards is only for TRACE and OPTIONS', '9110 §7.6.2', get('/v1/x', 'max-forwards: 0'), line, [
    'max-forwards: 0',
  ]),

  passed(
    'Expect: 100-continue',
    '9110 §10.1.1',
    [post('', 'content-length: 7', 'expect: 100-continue'), 5, seven],
    'POST /v1/x',
    [],
    seven,
  ),
  passed(
    'Expect: 100-Continue in capitals',
    '9110 §10.1.1',
    post(seven, 'content-length: 7', 'expect: 100-CONTINUE'),
    'POST /v1/x',
    [],
    seven,
  ),
  passed('Expect: 100-continue without a body', '9110 §10.1.1', get('/v1/x', 'expect: 100-continue'), line),
  refused('an expectation that nobody knows', '9110 §10.1.1', get('/v1/x', 'expect: cow'), 417),
  refused(
    'an expectation and another',
    '9110 §10.1.1',
    post(seven, 'content-length: 7', 'expect: 100-continue, cow'),
    417,
  ),
  refused(
    'an expectation in an ambiguous request',
    '9110 §10.1.1',
    post(seven, 'content-length: 7', 'host: other', 'expect: 100-continue'),
  ),
  refused(
    'Expect: 100-continue for a body that is too long, which is never asked for',
    '9110 §10.1.1',
    post('', 'content-length: 999999999999', 'expect: 100-continue'),
    413,
    { mayStay: true },
  ),

  passed(
    'Upgrade to what nobody knows is no upgrade',
    '9110 §7.8',
    get('/v1/x', 'connection: upgrade', 'upgrade: cow'),
    line,
  ),
  passed('Upgrade to h2c is no upgrade', '9110 §7.8', get('/v1/x', 'connection: upgrade', 'upgrade: h2c'), line),
  passed('Upgrade to TLS is no upgrade', '9110 §7.8', get('/v1/x', 'connection: upgrade', 'upgrade: TLS/1.2'), line),
  passed('Upgrade without Connection is a header too many', '9110 §7.8', get('/v1/x', 'upgrade: cow'), line),
  passed(
    'Upgrade with a body',
    '9110 §7.8',
    post(seven, 'content-length: 7', 'connection: upgrade', 'upgrade: cow'),
    'POST /v1/x',
    [],
    seven,
  ),
  several(
    'Upgrade with another request behind it, which must not be read',
    '9110 §7.8',
    get('/v1/x', 'connection: upgrade', 'upgrade: cow') + get('/v1/y'),
    [forwarded('/v1/x')],
  ),

  several('two requests in one packet', '9112 §9.3.2', get('/v1/x') + get('/v1/y'), [
    forwarded('/v1/x'),
    forwarded('/v1/y'),
  ]),
  several(
    'twenty requests in one packet',
    '9112 §9.3.2',
    Array.from({ length: 20 }, (_, at) => get(`/v1/${at}`)).join(''),
    Array.from({ length: 20 }, (_, at) => forwarded(`/v1/${at}`)),
  ),
  several(
    'two requests with an empty line between them',
    '9112 §2.2',
    post(seven, 'content-length: 7') + `\r\n${get('/v1/y')}`,
    [forwarded('/v1/x', seven, 'POST'), forwarded('/v1/y')],
  ),
  several(
    'two requests of which the second is malformed',
    '9112 §9.3.2',
    get('/v1/x') + head('GET /v1/y HTTP/1.1', 'host: gate', 'x : 1'),
    [forwarded('/v1/x'), { refused: [400] }],
  ),
  several('two requests of which the second is no HTTP', '9112 §9.3.2', `${get('/v1/x')}hello\r\n\r\n`, [
    forwarded('/v1/x'),
    { refused: [400] },
  ]),
  several(
    'two requests of which the second is ambiguous',
    '9112 §9.3.2',
    get('/v1/x') + get('/v1/y', 'host: other') + get('/v1/z'),
    [forwarded('/v1/x'), { refused: [400] }],
  ),
  several(
    'a refused request, and a good one behind it that must not be read',
    '9112 §9.3.2',
    get('/v1/x', 'host: other') + get('/v1/y'),
    [{ refused: [400] }],
  ),
  refused(
    'an ambiguous request with broken chunks, which is refused once',
    '9112 §6.1',
    chunked('xyz\r\n', 'host: other', 'connection: close'),
  ),
  several(
    'Connection: close, and a request behind it that must not be read',
    '9112 §9.6',
    get('/v1/x', 'connection: close') + get('/v1/y'),
    [forwarded('/v1/x')],
  ),
  several(
    'a request whose body is a request',
    '9112 §6.3',
    post('{"a":"GET /v1/smuggled HTTP/1.1"}', 'content-length: 33') + get('/v1/y'),
    [forwarded('/v1/x', '{"a":"GET /v1/smuggled HTTP/1.1"}', 'POST'), forwarded('/v1/y')],
  ),

  refused('the preface of HTTP/2', '9113 §3.4', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', [400, 505]),
  refused('a hello of TLS', '8446 §4.1.2', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 400, { ends: true }),
  refused('a version of SSH', '4253 §4.2', 'SSH-2.0-OpenSSH_9.6\r\n', 400, { ends: true }),
  refused('a greeting of SMTP', '5321 §4.1', 'EHLO gate\r\n', 400, { ends: true }),
  refused('a header of the PROXY protocol', '9112 §3', `PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n${get()}`),
  refused('a header of the PROXY protocol, version 2', '9112 §3', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c', 400, {
    ends: true,
  }),
  refused('nothing but NUL', '9112 §3', '\0'.repeat(64), 400, { ends: true }),
  refused('a byte order mark in front', '9112 §3', `\xef\xbb\xbf${get()}`),
  several('a client that says nothing and closes', '9112 §9.5', [], [{ closed: true }], { ends: true }),
  several('a client that sends an empty line and closes', '9112 §2.2', '\r\n', [{ closed: true }], { ends: true }),
  refused('a client that closes in the middle of its head', '9112 §8', 'GET /v1/x HTTP/1.1\r\nhost: ga', 400, {
    ends: true,
  }),
  several('a client that closes its side behind its request has left', '9112 §9.6', get(), [left('/v1/x')], {
    ends: true,
  }),
  several(
    'a client that closes its side behind its body has left',
    '9112 §9.6',
    post(seven, 'content-length: 7'),
    [left('/v1/x', seven, 'POST')],
    { ends: true },
  ),
]
