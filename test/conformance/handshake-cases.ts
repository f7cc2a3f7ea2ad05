/** Requests for WebSocket as data (RFC 6455 §4.2.1), and what has to become of each. */
import { ask, clientKey, key, target, type HandshakeCase, type Lines, type Shaken } from './handshake-case.ts'
import type { Piece } from './http-case.ts'
import { writeFrame } from './websocket-frames.ts'

const smuggled = 'GET /v1/smuggled HTTP/1.1\r\nhost: gate\r\n\r\n'

export const handshakeCases: Readonly<Record<string, readonly HandshakeCase[]>> = {
  'Upgrade and Connection': [
    opens('the plainest handshake', '6455 §1.3', {}),
    ...['WebSocket', 'WEBSOCKET', 'webSOCKET'].map((upgrade) =>
      opens(`Upgrade: ${upgrade}`, '6455 §4.2.1', { upgrade }),
    ),
    ...['upgrade', 'keep-alive, Upgrade', 'Upgrade,keep-alive', 'x-a, UPGRADE , x-b'].map((connection) =>
      opens(`Connection: ${connection}`, '6455 §4.2.1', { connection }),
    ),
    opens('Connection twice, Upgrade in the second', '9110 §5.3', { connection: ['keep-alive', 'Upgrade'] }),
    ...[null, 'keep-alive', 'close', 'Upgraded', ''].map((connection) =>
      ignored(`Connection: ${connection ?? 'missing'}`, '6455 §4.2.1', { connection }),
    ),
    ...['h2c', 'TLS/1.0', 'websocket/13', 'websockets', 'web socket', 'foo, bar', ''].map((upgrade) =>
      ignored(`Upgrade: ${upgrade}`, '9110 §7.8', { upgrade }),
    ),
    ignored('Upgrade to h2c, with its settings', '9113 §3.1', {
      connection: 'Upgrade, HTTP2-Settings',
      upgrade: 'h2c',
      'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA',
    }),
  ],
  'The key': [
    refused('no key', '6455 §4.2.1', { 'sec-websocket-key': null }),
    ...['', 'short', key.slice(0, -1), `${key}=`, `${key.slice(0, -2)}AA`, 'A'.repeat(24), `${'*'.repeat(22)}==`].map(
      (wrong) => refused(`the key "${wrong}"`, '6455 §4.2.1', { 'sec-websocket-key': wrong }),
    ),
    refused('a key of 15 bytes', '6455 §4.2.1', { 'sec-websocket-key': Buffer.alloc(15).toString('base64') }),
    refused('a key of 17 bytes', '6455 §4.2.1', { 'sec-websocket-key': Buffer.alloc(17).toString('base64') }),
    refused('a key of 8 KiB', '6455 §4.2.1', { 'sec-websocket-key': 'A'.repeat(8192) }),
    refused('the same key twice', '6455 §11.3.1', { 'sec-websocket-key': [key, key] }),
    refused('two keys', '6455 §11.3.1', { 'sec-websocket-key': [key, 'AAAAAAAAAAAAAAAAAAAAAA=='] }),
    refused('two keys in one line', '6455 §11.3.1', { 'sec-websocket-key': `${key}, ${key}` }),
    opens('a key with spaces around it', '9112 §5.1', { 'sec-websocket-key': `  ${key}\t` }),
  ],
  'The version': [
    ...[null, '', '0', '7', '8', '12', '14', '013', '13.0', '-13', '0x0d', '13abc', '13, 8', '8, 13', '13;q=1'].map(
      (version) => otherVersion(`version ${version ?? 'missing'}`, { 'sec-websocket-version': version }),
    ),
    otherVersion('version 13 twice', { 'sec-websocket-version': ['13', '13'] }),
    otherVersion('the handshake of draft 76', {
      'sec-websocket-version': null,
      'sec-websocket-key': null,
      'sec-websocket-key1': '4 @1  46546xW%0l 1 5',
      'sec-websocket-key2': '12998 5 Y3 1  .P00',
    }),
  ],
  Subprotocols: [
    opens('one', '6455 §4.2.2', { 'sec-websocket-protocol': 'realtime' }, { opens: true, protocol: 'realtime' }),
    opens('the first of three', '6455 §4.2.2', { 'sec-websocket-protocol': 'a, b,c' }, { opens: true, protocol: 'a' }),
    opens('in two lines', '6455 §11.3.4', { 'sec-websocket-protocol': ['a', 'b'] }, { opens: true, protocol: 'a' }),
    ...['', ',', 'a,', ',a', 'a,,b', 'a b', 'a;b', 'a/b', '"a"', '(', 'a, a', 'a=b', '\u00e4'].map((names) =>
      refused(`the list "${names}"`, '6455 §4.1', { 'sec-websocket-protocol': names }),
    ),
  ],
  'Extensions that nobody speaks': [
    'x-unknown',
    'permessage-deflate; no_such_parameter',
    'permessage-deflate; server_max_window_bits=99',
    'permessage-deflate; client_max_window_bits="',
    'permessage-deflate;;;;',
    ';',
    ',,,',
    '"',
    'a="b\\',
    'x; '.repeat(1000),
  ].map((extensions) =>
    opens(`the offer ${extensions.slice(0, 50)}`, '6455 §9.1', { 'sec-websocket-extensions': extensions }),
  ),
  'Method, version and body': [
    ...['POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE'].map((method) =>
      one(`${method} with Upgrade`, '6455 §4.1', ask({ 'content-length': '0' }, `${method} ${target} HTTP/1.1`), {
        ignored: true,
      }),
    ),
    one('CONNECT with Upgrade', '9110 §9.3.6', ask({}, 'CONNECT gate:80 HTTP/1.1'), { refused: [400, 405] }),
    one('HTTP/1.0 with Upgrade', '9110 §7.8', ask({}, `GET ${target} HTTP/1.0`), { ignored: true }),
    opens('Content-Length: 0', '9112 §6.3', { 'content-length': '0' }),
    one('a body', '6455 §4.1', `${ask({ 'content-length': '5' })}hello`, { refused: [400] }),
    one('a body in chunks', '6455 §4.1', `${ask({ 'transfer-encoding': 'chunked' })}5\r\nhello\r\n0\r\n\r\n`, {
      refused: [400],
    }),
    one('a body that looks like a request', '9112 §11.2', `${ask({ 'content-length': '40' })}${smuggled}`, {
      refused: [400],
    }),
    one(
      'Content-Length and Transfer-Encoding',
      '9112 §6.3',
      `${ask({ 'content-length': '5', 'transfer-encoding': 'chunked' })}0\r\n\r\n`,
      { refused: [400] },
    ),
    refused('two lengths', '9112 §6.3', { 'content-length': ['0', '5'] }),
  ],
  'What stands before and behind': [
    one('a message behind the head', '6455 §4.1', [ask(), message(), 50], { opens: true }),
    one('half a message behind the head, and the rest later', '6455 §4.1', halves(), { opens: true }),
    one('a request behind the head', '9110 §7.8', ask() + smuggled, { opens: true, closes: [1002] }),
    one('bytes behind the head that are no frame', '6455 §5.1', `${ask()}\xff\xff\xff\xff`, {
      opens: true,
      closes: [1002],
    }),
    one('a request behind a handshake that is refused', '9110 §7.8', ask({ 'sec-websocket-key': 'no' }) + smuggled, {
      refused: [400],
    }),
    one('another handshake behind the first', '6455 §4.1', ask() + ask(), { opens: true, closes: [1002] }),
    {
      ...one('behind a request that is answered first', '9112 §9.3', plain() + ask(), { opens: true }),
      before: 1,
    },
    one('in pieces of one byte', '9112 §2.2', ask().split(''), { opens: true }),
    { ...one('and then the end of the client', '6455 §4.1', ask(), { opens: true }), ends: true },
  ],
  'Host, target and header lines': [
    refused('no Host', '9112 §3.2', { host: null }),
    refused('two Hosts', '9112 §3.2', { host: ['gate', 'other'] }),
    refused('a Host that is none', '9112 §3.2', { host: 'a b' }),
    one('a target that disagrees with Host', '9112 §3.2.2', ask({}, `GET http://other${target} HTTP/1.1`), {
      refused: [400],
    }),
    one('a target with dot segments', '3986 §5.2.4', ask({}, 'GET /v1/../v1/realtime HTTP/1.1'), { refused: [400] }),
    one('a target with a backslash', '3986 §2', ask({}, 'GET /v1\\realtime HTTP/1.1'), { refused: [400] }),
    one('a target of 20 KB', '9110 §15.5.15', ask({}, `GET ${target}&x=${'x'.repeat(20_000)} HTTP/1.1`), {
      refused: [414, 431],
    }),
    refused('headers of 200 KB', '6585 §5', { 'x-big': 'x'.repeat(200_000) }, [431]),
    refused('two hundred headers', '6585 §5', { 'x-many': Array.from({ length: 200 }, String) }, [431]),
    refused('a space before a colon', '9112 §5.1', { 'x-a ': '1' }),
    refused('a folded line', '9112 §5.2', { 'x-a': '1\r\n 2' }),
    refused('a bare LF', '9112 §2.2', { 'x-a': '1\nx-b: 2' }),
    refused('NUL in a header', '9110 §5.5', { 'x-a': '1\u00002' }),
    opens('Sec-WebSocket-Accept from the client', '6455 §11.3.3', { 'sec-websocket-accept': 'mine' }),
  ],
  'Who may': [
    { ...refused('without a key of the gateway', '6455 §10.5', { authorization: null }, [401]), isOurs: true },
    { ...refused('with a wrong one', '6455 §10.5', { authorization: 'Bearer sk-wrong' }, [401]), isOurs: true },
    {
      ...one('on a path that nobody serves', '6455 §4.2.2', ask({}, 'GET /nowhere HTTP/1.1'), { refused: [404] }),
      isOurs: true,
    },
    opens('from a page of another origin', '6455 §10.2', { origin: 'https://evil.example' }),
    opens('with the key as the SDK sends it', '6455 §10.5', { authorization: `bearer ${clientKey}` }),
  ],
}

function plain(): string {
  return `GET /v1/models HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer ${clientKey}\r\n\r\n`
}

/** A request that every kind of WebSocket answers. */
export function message(): string {
  const payload = '{"type":"response.create","model":"m","input":"x"}'
  return writeFrame({ opcode: 1, payload, mask: Buffer.from([1, 2, 3, 4]) }, true).toString('latin1')
}

function halves(): Piece[] {
  return [ask() + message().slice(0, 9), 30, message().slice(9)]
}

function one(name: string, rfc: string, send: string | readonly Piece[], expect: Shaken): HandshakeCase {
  return { name, rfc, send: typeof send === 'string' ? [send] : send, expect }
}

function opens(name: string, rfc: string, lines: Lines, expect: Shaken = { opens: true }): HandshakeCase {
  return one(name, rfc, ask(lines), expect)
}

function refused(name: string, rfc: string, lines: Lines, statuses: readonly number[] = [400]): HandshakeCase {
  return one(name, rfc, ask(lines), { refused: statuses })
}

function ignored(name: string, rfc: string, lines: Lines): HandshakeCase {
  return one(name, rfc, ask(lines), { ignored: true })
}

/** The answer names the version that is spoken. */
function otherVersion(name: string, lines: Lines): HandshakeCase {
  return one(name, '6455 §4.4', ask(lines), { refused: [400, 426], has: 'sec-websocket-version: 13' })
}
