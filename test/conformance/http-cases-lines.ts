/** The request line and the shape of header lines. */
import { bytesOf, get, head, type HttpCase, passed, refused } from './http-case.ts'

const line = 'GET /v1/x'
const start = 'GET /v1/x HTTP/1.1\r\nhost: gate\r\n'

/** First lines that are none. */
const firstLines: Readonly<Record<string, string>> = {
  'with a tab before the target': 'GET\t/v1/x HTTP/1.1',
  'with a tab before the version': 'GET /v1/x\tHTTP/1.1',
  'with a space behind': 'GET /v1/x HTTP/1.1 ',
  'with a space in front': ' GET /v1/x HTTP/1.1',
  'with a space inside the target': 'GET /v1/x /v1/y HTTP/1.1',
  'with a vertical tab': 'GET\x0b/v1/x HTTP/1.1',
  'with NUL before the version': 'GET /v1/x\0 HTTP/1.1',
  'without a target': 'GET HTTP/1.1',
  'without a method': '/v1/x HTTP/1.1',
  'with a version and no digits': 'GET /v1/x HTTP/',
  'in a version with three parts': 'GET /v1/x HTTP/1.1.1',
  'in a version with two digits': 'GET /v1/x HTTP/1.10',
  'in a version with a letter': 'GET /v1/x HTTP/1.x',
  'in a version with a plus sign': 'GET /v1/x HTTP/+1.1',
  'in a version without a point': 'GET /v1/x HTTP/11',
  'in small letters': 'GET /v1/x http/1.1',
  'of another protocol': 'GET /v1/x ICE/1.0',
  'of RTSP': 'DESCRIBE /v1/x RTSP/1.0',
  'that is a status line': 'HTTP/1.1 200 OK',
}

const versions: Readonly<Record<string, string>> = {
  '0.9': 'HTTP/0.9',
  '1.2': 'HTTP/1.2',
  '2.0': 'HTTP/2.0',
  '3.0': 'HTTP/3.0',
  '9.9': 'HTTP/9.9',
}

/** Header lines that are none. */
const headerLines: Readonly<Record<string, string>> = {
  'with a space before the colon': 'x : 1',
  'with a tab before the colon': 'x\t: 1',
  'with a space inside the name': 'x y: 1',
  'without a name': ': 1',
  'without a colon': 'nonsense',
  'that is folded': 'x: 1\r\n 2',
  'that is folded with a tab': 'x: 1\r\n\t2',
  'that is folded into nothing': 'x: 1\r\n ',
  'with NUL in the name': 'x\0y: 1',
  'with NUL in the value': 'x: a\0b',
  'with a bare CR in the value': 'x: a\rb',
  'with a bare LF behind': 'x: 1\ny: 2',
  'with CR CR LF behind': 'x: 1\r\r\ny: 2',
  'with LF CR behind': 'x: 1\n\ry: 2',
  'with a bell in the value': 'x: a\x07b',
  'with a backspace in the value': 'x: a\x08b',
  'with an escape in the value': 'x: a\x1bb',
  'with a vertical tab in the value': 'x: a\x0bb',
  'with a form feed in the value': 'x: a\x0cb',
  'with DEL in the value': 'x: a\x7fb',
  'with DEL in the name': 'x\x7f: 1',
  'with a latin-1 letter in the name': 'caf\xe9: 1',
  'with UTF-8 in the name': 'caf\xc3\xa9: 1',
  'with a slash in the name': 'x/y: 1',
  'with brackets in the name': 'x[0]: 1',
  'with parentheses in the name': 'x(y): 1',
  'with an at sign in the name': 'x@y: 1',
  'with quotes around the name': '"x": 1',
  'with a comma in the name': 'x,y: 1',
  'with a semicolon in the name': 'x;y: 1',
  'with an equals sign in the name': 'x=y: 1',
  'with a backslash in the name': 'x\\y: 1',
  'with braces in the name': 'x{y}: 1',
  'with a question mark in the name': 'x?: 1',
  'with a control character in the name': 'x\x01: 1',
}

export const lineCases: readonly HttpCase[] = [
  passed('the plainest request', '9112 §2.1', get(), line),
  passed('one empty line in front', '9112 §2.2', `\r\n${get()}`, line),
  passed('a request in pieces of one byte', '9112 §2.2', bytesOf(get()), line),
  passed('two spaces before the target, which become one', '9112 §3', head('GET  /v1/x HTTP/1.1', 'host: gate'), line),
  passed('two spaces before the version, which become one', '9112 §3', head('GET /v1/x  HTTP/1.1', 'host: gate'), line),
  ...Object.entries(firstLines).map(([name, first]) =>
    refused(`a request line ${name}`, '9112 §3', head(first, 'host: gate'), [400, 405, 501, 505], { ends: true }),
  ),
  ...Object.entries(versions).map(([name, version]) =>
    refused(`version ${name}`, '9110 §15.6.6', head(`GET /v1/x ${version}`, 'host: gate'), [400, 505], { ends: true }),
  ),
  refused('a request of HTTP/0.9: a line without a version', '9112 §3', 'GET /v1/x\r\n', [400, 505], { ends: true }),
  refused('a line without a version, and headers', '9112 §3', head('GET /v1/x', 'host: gate'), [400, 505], {
    ends: true,
  }),
  refused('a request line ended by a bare LF', '9112 §2.2', 'GET /v1/x HTTP/1.1\nhost: gate\r\n\r\n'),
  refused('a request line ended by a bare CR', '9112 §2.2', 'GET /v1/x HTTP/1.1\rhost: gate\r\n\r\n'),
  refused('lines ended by bare LFs only', '9112 §2.2', 'GET /v1/x HTTP/1.1\nhost: gate\n\n', 400, { ends: true }),
  refused('a head ended by CR LF LF', '9112 §2.2', 'GET /v1/x HTTP/1.1\r\nhost: gate\r\n\n', 400, { ends: true }),
  refused('a head ended by LF CR LF', '9112 §2.2', 'GET /v1/x HTTP/1.1\r\nhost: gate\n\r\n', 400, { ends: true }),
  refused('a head ended by CR CR LF', '9112 §2.2', 'GET /v1/x HTTP/1.1\r\nhost: gate\r\n\r\r\n', 400, { ends: true }),
  refused(
    'white space between the request line and the headers',
    '9112 §2.2',
    'GET /v1/x HTTP/1.1\r\n host: gate\r\n\r\n',
  ),
  refused(
    'a folded line between the request line and the headers',
    '9112 §2.2',
    'GET /v1/x HTTP/1.1\r\n x: y\r\nhost: gate\r\n\r\n',
  ),
  ...Object.entries(headerLines).map(([name, written]) =>
    refused(`a header line ${name}`, '9112 §5', `${start}${written}\r\n\r\n`, 400, { ends: true }),
  ),
  passed('a value between spaces and tabs', '9110 §5.5', get('/v1/x', 'x: \t 1 \t '), line, ['x: 1']),
  passed('a value without a space in front', '9110 §5.5', get('/v1/x', 'x:1'), line, ['x: 1']),
  passed('an empty value', '9110 §5.5', get('/v1/x', 'x:'), line, ['x: ']),
  passed('a value of white space', '9110 §5.5', get('/v1/x', 'x: \t '), line, ['x: ']),
  passed('a tab inside a value', '9110 §5.5', get('/v1/x', 'x: a\tb'), line, ['x: a\tb']),
  passed('a colon inside a value', '9110 §5.5', get('/v1/x', 'x: a:b: c'), line, ['x: a:b: c']),
  passed('latin-1 bytes in a value', '9110 §5.5', get('/v1/x', 'x: caf\xe9'), line, ['x: caf\xe9']),
  passed('UTF-8 bytes in a value', '9110 §5.5', get('/v1/x', 'x: caf\xc3\xa9'), line, ['x: caf\xc3\xa9']),
  passed('every byte beyond ASCII in a value', '9110 §5.5', get('/v1/x', `x: ${beyondAscii()}`), line, [
    `x: ${beyondAscii()}`,
  ]),
  passed('every character that a name may have', '9110 §5.6.2', get('/v1/x', "x!#$%&'*+-.^_`|~9: 1"), line, [
    "x!#$%&'*+-.^_`|~9: 1",
  ]),
  passed('a name in capitals', '9110 §5.1', get('/v1/x', 'X-UPPER: 1'), line, ['x-upper: 1']),
  passed('a name that is a member of every object', '9110 §5.1', get('/v1/x', 'constructor: 1'), line, [
    'constructor: 1',
  ]),
  passed('a name on two lines', '9110 §5.2', get('/v1/x', 'x: 1', 'X: 2'), line, ['x: 1, 2']),
  passed('cookies on two lines', '6265 §5.4', get('/v1/x', 'cookie: a=1', 'cookie: b=2'), line, ['cookie: a=1; b=2']),
  passed('a hundred headers', '9110 §5.4', get('/v1/x', ...many(99)), line, many(99)),
  refused('more headers than any client sends', '9110 §5.4', get('/v1/x', ...many(1000)), 431),
  refused(
    'a second Host behind two thousand headers',
    '9112 §3.2',
    get('/v1/x', ...short(2100), 'host: other'),
    [400, 431],
  ),
  refused(
    'a body announced behind two thousand headers',
    '9112 §6.3',
    `${head('POST /v1/x HTTP/1.1', 'host: gate', ...short(2100), 'content-length: 7')}{"a":1}`,
    [400, 431],
  ),
  refused('a header line of 40 000 bytes', '9110 §5.4', get('/v1/x', `x: ${'y'.repeat(40_000)}`), 431),
  refused('a header name of 40 000 bytes', '9110 §5.4', get('/v1/x', `${'y'.repeat(40_000)}: x`), 431),
  refused('headers without an end', '9110 §5.4', `${start}${'x: 1234567890\r\n'.repeat(10_000)}`, 431),
]

function beyondAscii(): string {
  return Array.from({ length: 128 }, (_, at) => String.fromCharCode(128 + at)).join('')
}

function many(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `x-${at}: ${at}`)
}

/** The shortest lines there are: thousands of them stay below any limit in bytes. */
function short(count: number): string[] {
  return Array.from({ length: count }, () => 'a:')
}
