/** Where a body ends: Content-Length and Transfer-Encoding. */
import { chunked, get, head, type HttpCase, passed, post, refused, seven, several } from './http-case.ts'

const line = 'POST /v1/x'
const mayStay = { mayStay: true } as const
const smuggled = 'GET /v1/smuggled HTTP/1.1\r\nhost: gate\r\n\r\n'

/** Values of Content-Length that are none. */
const lengths: Readonly<Record<string, string>> = {
  'with a plus sign': '+7',
  'with a minus sign': '-7',
  'that is minus one': '-1',
  'in hexadecimal': '0x7',
  'with hexadecimal digits': 'a',
  'with a letter behind': '7a',
  'with a decimal point': '7.0',
  'with an exponent': '7e0',
  'with an underscore': '1_0',
  'in quotes': '"7"',
  'that is empty': '',
  'that is a space': ' ',
  'with a space inside': '1 0',
  'with a comma behind': '7,',
  'with a comma in front': ',7',
  'that is a list of equals': '7, 7',
  'that is a list of two': '7, 8',
  'with a semicolon': '7;8',
  'beyond 64 bits': '18446744073709551616',
  'of forty digits': '9'.repeat(40),
  'with NUL behind': '7\0',
  'with a vertical tab in front': '\x0b7',
  'with a form feed behind': '7\x0c',
  'with a no-break space': '\xa07',
  'in digits of another script': '\xd9\xa7',
}

/** Values of Transfer-Encoding that are not the one word which every server reads alike. */
const codings: Readonly<Record<string, string>> = {
  'gzip before chunked': 'gzip, chunked',
  'chunked twice': 'chunked, chunked',
  'chunked before identity': 'chunked, identity',
  'identity before chunked': 'identity, chunked',
  'identity alone': 'identity',
  'gzip alone': 'gzip',
  'chunked with a letter in front': 'xchunked',
  'chunked with a letter behind': 'chunkedx',
  'chunked in quotes': '"chunked"',
  'chunked with a parameter': 'chunked;q=1',
  'chunked with a comma in front': ', chunked',
  'chunked with a comma behind': 'chunked,',
  'chunked with a vertical tab in front': '\x0bchunked',
  'chunked with NUL behind': 'chunked\0',
  'chunked with a no-break space': '\xa0chunked',
  'chunked cut by a tab': 'chun\tked',
  'an empty value': '',
  'an unknown word': 'cow',
  'the words of two': 'chunked cow',
}

export const framingCases: readonly HttpCase[] = [
  passed('Content-Length', '9112 §6.2', post(seven, 'content-length: 7'), line, [], seven),
  passed('Content-Length with a leading zero', '9110 §8.6', post(seven, 'content-length: 007'), line, [], seven),
  passed('Content-Length between tabs', '9110 §5.5', post(seven, 'content-length:\t7\t'), line, [], seven),
  passed('Content-Length of zero', '9112 §6.3', post('', 'content-length: 0'), line),
  passed('a POST without a body or a length', '9112 §6.3', post(''), line),
  passed('a body in two pieces', '9112 §6.2', [post('{"a"', 'content-length: 7'), 5, ':1}'], line, [], seven),
  ...Object.entries(lengths).map(([name, value]) =>
    refused(`Content-Length ${name}`, '9112 §6.3', post(seven, `content-length: ${value}`)),
  ),
  refused('two Content-Lengths that differ', '9112 §6.3', post(seven, 'content-length: 7', 'content-length: 8')),
  refused('two Content-Lengths that agree', '9112 §6.3', post(seven, 'content-length: 7', 'content-length: 7')),
  refused('a second Content-Length of zero', '9112 §6.3', post(seven, 'content-length: 7', 'content-length: 0')),
  refused('a body longer than anybody takes', '9110 §15.5.14', post('', 'content-length: 999999999999'), 413, mayStay),
  refused('a body of 2^53 bytes', '9110 §15.5.14', post('', 'content-length: 9007199254740992'), [400, 413], mayStay),
  refused(
    'a body of 2^63 bytes',
    '9110 §15.5.14',
    post('', 'content-length: 9223372036854775808'),
    [400, 413],
    mayStay,
  ),
  several(
    'Content-Length shorter than what follows: the rest is the next request, and none',
    '9112 §6.3',
    post('{"a":1}xx', 'content-length: 7'),
    [{ forwarded: { line, headers: [], body: seven } }, { refused: [400] }],
  ),
  refused('a client that leaves in the middle of its body', '9112 §8', post('{"a"', 'content-length: 7'), 400, {
    ends: true,
  }),

  ...Object.entries(codings).map(([name, value]) =>
    refused(
      `Transfer-Encoding: ${name}`,
      '9112 §6.1',
      post(`7\r\n${seven}\r\n0\r\n\r\n`, `transfer-encoding: ${value}`),
      [400, 501],
    ),
  ),
  passed('chunked', '9112 §7.1', chunked(`7\r\n${seven}\r\n0\r\n\r\n`), line, [], seven),
  passed(
    'chunked in capitals',
    '9112 §7',
    post(`7\r\n${seven}\r\n0\r\n\r\n`, 'Transfer-Encoding: CHUNKED'),
    line,
    [],
    seven,
  ),
  refused(
    'chunked on two lines',
    '9112 §6.1',
    post(`7\r\n${seven}\r\n0\r\n\r\n`, 'transfer-encoding: chunked', 'transfer-encoding: chunked'),
    [400, 501],
  ),
  refused(
    'chunked and then identity, on two lines',
    '9112 §6.1',
    post(`7\r\n${seven}\r\n0\r\n\r\n`, 'transfer-encoding: chunked', 'transfer-encoding: identity'),
    [400, 501],
  ),
  refused(
    'identity and then chunked, on two lines',
    '9112 §6.1',
    post(`7\r\n${seven}\r\n0\r\n\r\n`, 'transfer-encoding: identity', 'transfer-encoding: chunked'),
    [400, 501],
  ),
  refused(
    'Content-Length, then Transfer-Encoding',
    '9112 §6.1',
    post(`0\r\n\r\n${smuggled}`, 'content-length: 5', 'transfer-encoding: chunked'),
  ),
  refused(
    'Transfer-Encoding, then Content-Length',
    '9112 §6.1',
    post(`0\r\n\r\n${smuggled}`, 'transfer-encoding: chunked', 'content-length: 5'),
  ),
  refused(
    'Content-Length of zero beside Transfer-Encoding',
    '9112 §6.1',
    post('0\r\n\r\n', 'content-length: 0', 'transfer-encoding: chunked'),
  ),
  refused(
    'Transfer-Encoding with a space before the colon, beside Content-Length',
    '9112 §5.1',
    post(`0\r\n\r\n${smuggled}`, 'content-length: 5', 'transfer-encoding : chunked'),
  ),
  refused(
    'Transfer-Encoding that is folded, beside Content-Length',
    '9112 §5.2',
    post(`0\r\n\r\n${smuggled}`, 'content-length: 5', 'transfer-encoding:', ' chunked'),
  ),
  refused(
    'Transfer-Encoding on HTTP/1.0',
    '9112 §6.1',
    head('POST /v1/x HTTP/1.0', 'host: gate', 'transfer-encoding: chunked') + '0\r\n\r\n',
  ),
  refused(
    'Transfer-Encoding on HTTP/1.0 that stays open',
    '9112 §6.1',
    head('POST /v1/x HTTP/1.0', 'host: gate', 'connection: keep-alive', 'transfer-encoding: chunked') +
      `0\r\n\r\n${smuggled}`,
  ),
  passed(
    'Transfer_Encoding is another header',
    '9110 §5.1',
    post(seven, 'content-length: 7', 'transfer_encoding: chunked'),
    line,
    ['transfer_encoding: chunked'],
    seven,
  ),
  passed(
    'Content-Encoding says nothing of the framing',
    '9110 §8.4',
    post(seven, 'content-length: 7', 'content-encoding: chunked'),
    line,
    ['content-encoding: chunked'],
    seven,
  ),

  refused('GET with a body of known length', '9110 §9.3.1', get('/v1/x', 'content-length: 7') + seven),
  refused('GET with chunks', '9110 §9.3.1', get('/v1/x', 'transfer-encoding: chunked') + `7\r\n${seven}\r\n0\r\n\r\n`),
  refused('GET whose body is a request', '9110 §9.3.1', get('/v1/x', `content-length: ${smuggled.length}`) + smuggled),
  refused('HEAD with a body', '9110 §9.3.2', head('HEAD /v1/x HTTP/1.1', 'host: gate', 'content-length: 7') + seven),
  passed('GET with Content-Length of zero', '9110 §8.6', get('/v1/x', 'content-length: 0'), 'GET /v1/x'),
  passed(
    'DELETE with a body',
    '9110 §9.3.5',
    head('DELETE /v1/x HTTP/1.1', 'host: gate', 'content-length: 7') + seven,
    'DELETE /v1/x',
    [],
    seven,
  ),
  passed(
    'DELETE with chunks',
    '9110 §9.3.5',
    head('DELETE /v1/x HTTP/1.1', 'host: gate', 'content-type: text/plain', 'transfer-encoding: chunked') +
      `7\r\n${seven}\r\n0\r\n\r\n`,
    'DELETE /v1/x',
    ['content-type: text/plain'],
    seven,
  ),
  refused(
    'DELETE whose first chunk is none',
    '9112 §7.1',
    head('DELETE /v1/x HTTP/1.1', 'host: gate', 'content-type: text/plain', 'transfer-encoding: chunked') +
      'GET /v1/y HTTP/1.1\r\nhost: gate\r\n\r\n',
  ),
  passed('DELETE without one', '9110 §9.3.5', head('DELETE /v1/x HTTP/1.1', 'host: gate'), 'DELETE /v1/x'),
]
