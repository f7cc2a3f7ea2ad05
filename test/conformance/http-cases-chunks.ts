/** The chunked coding: sizes, extensions, ends, trailers. */
import { bytesOf, chunked, get, type HttpCase, passed, refused, seven, several } from './http-case.ts'

const line = 'POST /v1/x'
const whole = `7\r\n${seven}\r\n`
const last = '0\r\n\r\n'

/** What stands where the size of the first chunk should. */
const sizes: Readonly<Record<string, string>> = {
  'that is empty': '',
  'with 0x in front': '0x7',
  'with a plus sign': '+7',
  'with a minus sign': '-7',
  'with a space in front': ' 7',
  'with a tab in front': '\t7',
  'with a letter that is no digit': 'g',
  'with a digit and such a letter': '7g',
  'with a decimal point': '7.0',
  'with an underscore': '0_7',
  'in quotes': '"7"',
  'with NUL behind': '7\0',
  'with a comma': '7,0',
  'with a vertical tab': '7\x0b',
  'of 2^64': '10000000000000000',
  'of 2^64 and seven: seven, where it overflows': '10000000000000007',
  'of 2^128': `1${'0'.repeat(32)}`,
  'of 2^32 and seven, where a client sends seven': '100000007',
  'of sixteen F': 'F'.repeat(16),
}

/** Extensions: RFC 9112 §7.1.1 lets a recipient ignore those it does not know. None of them is ever passed on. */
const extensions: Readonly<Record<string, string>> = {
  'by name': '7;cow',
  'with a value': '7;cow=1',
  'with a quoted value': '7;cow="a b"',
  twice: '7;a=1;b=2',
}

const badExtensions: Readonly<Record<string, string>> = {
  'with a bare LF': '7;\nxx',
  'with a bare CR': '7;a\rb',
  'with NUL': '7;a\0b',
  'of 20 000 bytes': `7;${'x'.repeat(20_000)}`,
  'that is a quotation without an end': '7;a="b',
}

const badBodies: Readonly<Record<string, string>> = {
  'a size ended by a bare LF': `7\n${seven}\r\n${last}`,
  'data ended by a bare LF': `7\r\n${seven}\n${last}`,
  'data ended by a bare CR': `7\r\n${seven}\r${last}`,
  'data longer than its size': `6\r\n${seven}\r\n${last}`,
  'data shorter than its size': `8\r\n${seven}\r\n${last}`,
  'data without an end of its own': `7\r\n${seven}${last}`,
  'a last chunk ended by a bare LF': `${whole}0\n\r\n`,
  'a last chunk whose empty line is a bare LF': `${whole}0\r\n\n`,
  'two characters that are no line end behind the data': `7\r\n${seven}xx${last}`,
  'a trailer without a colon': `${whole}0\r\nnonsense\r\n\r\n`,
  'a trailer with a space before the colon': `${whole}0\r\nx : 1\r\n\r\n`,
  'a trailer that is folded': `${whole}0\r\nx: 1\r\n 2\r\n\r\n`,
  'a trailer with NUL': `${whole}0\r\nx: \0\r\n\r\n`,
  'a trailer with a bare LF': `${whole}0\r\nx: 1\ny: 2\r\n\r\n`,
  'a trailer with a bare CR': `${whole}0\r\nx: 1\ry: 2\r\n\r\n`,
}

/** Trailers are dropped (RFC 9110 §6.5.1 allows it); those that would change how the message is read most of all. */
const trailers: Readonly<Record<string, string>> = {
  'of the client': 'x-checksum: 1',
  'that names a host': 'host: other',
  'that authorizes': 'authorization: Bearer stolen',
  'that encodes': 'content-encoding: gzip',
  'that is a cookie': 'cookie: a=b',
  'that says who the client is': 'x-forwarded-for: 10.0.0.1',
}

export const chunkCases: readonly HttpCase[] = [
  passed('two chunks', '9112 §7.1', chunked('3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'), line, [], seven),
  passed(
    'a chunk for each byte',
    '9112 §7.1',
    chunked(
      `${bytesOf(seven)
        .map((byte) => `1\r\n${byte}\r\n`)
        .join('')}${last}`,
    ),
    line,
    [],
    seven,
  ),
  passed('chunks in pieces of one byte', '9112 §7.1', bytesOf(chunked(whole + last)), line, [], seven),
  passed('a size with leading zeros', '9112 §7.1', chunked(`00007\r\n${seven}\r\n000\r\n\r\n`), line, [], seven),
  passed('a size in capitals', '9112 §7.1', chunked(`A\r\n{"a":1234}\r\n${last}`), line, [], '{"a":1234}'),
  passed('a size in small letters', '9112 §7.1', chunked(`a\r\n{"a":1234}\r\n${last}`), line, [], '{"a":1234}'),
  passed('no chunk but the last', '9112 §7.1', chunked(last), line),
  ...Object.entries(sizes).map(([name, size]) =>
    refused(`a chunk size ${name}`, '9112 §7.1', chunked(`${size}\r\n${seven}\r\n${last}`), 400, { ends: true }),
  ),
  ...Object.entries(extensions).map(([name, size]) =>
    passed(
      `a chunk extension ${name} is dropped`,
      '9112 §7.1.1',
      chunked(`${size}\r\n${seven}\r\n${last}`),
      line,
      [],
      seven,
    ),
  ),
  ...Object.entries(badExtensions).map(([name, size]) =>
    refused(`a chunk extension ${name}`, '9112 §7.1.1', chunked(`${size}\r\n${seven}\r\n${last}`), [400, 413]),
  ),
  passed('an extension of the last chunk', '9112 §7.1.1', chunked(`${whole}0;a=b\r\n\r\n`), line, [], seven),
  ...Object.entries(badBodies).map(([name, body]) => refused(name, '9112 §7.1', chunked(body))),
  ...Object.entries(trailers).map(([name, trailer]) =>
    passed(`a trailer ${name} is dropped`, '9110 §6.5.1', chunked(`${whole}0\r\n${trailer}\r\n\r\n`), line, [], seven),
  ),
  refused('a trailer that would frame the body', '9110 §6.5.1', chunked(`${whole}0\r\ncontent-length: 99\r\n\r\n`)),
  refused(
    'a trailer that would frame it again',
    '9110 §6.5.1',
    chunked(`${whole}0\r\ntransfer-encoding: gzip\r\n\r\n`),
  ),
  passed(
    'a trailer that was announced is dropped, and so is the announcement',
    '9110 §6.6.2',
    chunked(`${whole}0\r\nx-sum: 1\r\n\r\n`, 'trailer: x-sum', 'te: trailers'),
    line,
    [],
    seven,
  ),
  refused(
    'trailers without an end',
    '9112 §7.1.2',
    chunked(`${whole}0\r\n${'x: y\r\n'.repeat(20_000)}`),
    [400, 413, 431],
  ),
  refused('a last chunk that never comes', '9112 §8', chunked(whole), 400, { ends: true }),
  refused('chunks that end in the middle of a size', '9112 §8', chunked(`${whole}1`), 400, { ends: true }),
  refused('chunks that end in the middle of their data', '9112 §8', chunked('7\r\n{"a"'), 400, { ends: true }),
  refused('chunks that end before the last empty line', '9112 §8', chunked(`${whole}0\r\n`), 400, { ends: true }),
  several('another request right behind the last chunk', '9112 §9.3.2', chunked(whole + last) + get('/v1/next'), [
    { forwarded: { line, headers: [], body: seven } },
    { forwarded: { line: 'GET /v1/next', headers: [], body: '' } },
  ]),
]
