import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Secret } from '../plugin.ts'
import { formats, parseDuration, parseListen, parseSize } from './formats.ts'

describe('durations are read as milliseconds', () => {
  const rows = [
    ['0s', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['30', null],
    ['s', null],
    ['-1s', null],
    ['1 s', null],
    ['1S', null],
    ['1sec', null],
    ['1h30m', null],
    ['1.s', null],
    ['1e3s', null],
    ['99999999999999d', null],
    ['', null],
    ['30s\n', null],
  ] as const
  for (const [text, expected] of rows) {
    test(`${JSON.stringify(text)} → ${expected}`, () => assert.equal(parseDuration(text), expected))
  }
})

describe('sizes are read as bytes', () => {
  const rows = [
    ['0B', 0],
    ['1B', 1],
    ['1KiB', 1024],
    ['32MiB', 33_554_432],
    ['0.5GiB', 536_870_912],
    ['1KB', 1000],
    ['1.5MB', 1_500_000],
    ['2GB', 2_000_000_000],
    ['32', null],
    ['32M', null],
    ['32mib', null],
    ['32 MiB', null],
    ['MiB', null],
  ] as const
  for (const [text, expected] of rows) {
    test(`${JSON.stringify(text)} → ${expected}`, () => assert.equal(parseSize(text), expected))
  }
})

describe('places to listen', () => {
  const rows = [
    ['127.0.0.1:8787', { host: '127.0.0.1', port: 8787 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    [':8787', { host: null, port: 8787 }],
    ['[::1]:8787', { host: '::1', port: 8787 }],
    ['[::]:65535', { host: '::', port: 65_535 }],
    ['unix:/run/postern.sock', { path: '/run/postern.sock' }],
    ['unix:relative.sock', null],
    [`unix:/${'x'.repeat(107)}`, null],
    ['8787', null],
    ['127.0.0.1', null],
    ['127.0.0.1:', null],
    ['127.0.0.1:65536', null],
    ['127.0.0.256:80', null],
    ['::1:8787', null],
    ['[::1]', null],
    ['[localhost]:80', null],
    ['http://localhost:80', null],
    ['', null],
  ] as const
  for (const [text, expected] of rows) {
    test(`${JSON.stringify(text.slice(0, 30))} → ${JSON.stringify(expected)}`, () =>
      assert.deepEqual(parseListen(text), expected))
  }
})

describe('other formats take and refuse', () => {
  const rows = {
    address: { takes: ['10.0.0.0/8', '::1', '2001:db8::/32'], refuses: ['10.0.0.0/33', 'localhost', ''] },
    url: {
      takes: ['https://api.example.com', 'http://127.0.0.1:8080/v1', 'https://[::1]/a/@b'],
      refuses: [
        'ftp://x',
        'https://',
        'https://x?a',
        'https://x/#a',
        'https://u:p@x',
        'x',
        '',
        ' https://x',
        'https://x/ y',
      ],
    },
    'model-pattern': { takes: ['gpt-5', 'gpt-5*', '*', 'a/b:c'], refuses: ['', 'g*t', '**', 'a b'] },
    secret: { takes: ['', 'anything at all'], refuses: [] },
  }
  for (const [name, { takes, refuses }] of Object.entries(rows)) {
    for (const text of takes) test(`${name} takes ${JSON.stringify(text)}`, () => assert.ok(formats[name]?.test(text)))
    for (const text of refuses)
      test(`${name} refuses ${JSON.stringify(text)}`, () => assert.ok(!formats[name]?.test(text)))
  }
})

describe('every format', () => {
  for (const [name, { what, pattern, cure }] of Object.entries(formats)) {
    test(`${name} says what it is, with an example that it takes itself`, () => {
      assert.match(what, /^an? /)
      const example = / such as (\S+)/.exec(what)?.[1]
      if (example !== undefined) assert.ok(formats[name]?.test(example), example)
    })

    test(`${name} has a pattern that is never stricter than its test`, () => {
      if (pattern === null) return
      const texts = ['30s', '1.5h', '32MiB', ':0', '[fe80::1%eth0]:1', 'unix:/a b', '::ffff:10.0.0.1', '10.0.0.0/8']
      for (const text of [...texts, 'https://a.b/c', 'gpt-5*', '*']) {
        if (formats[name]?.test(text)) assert.match(text, new RegExp(pattern), `${name}: ${text}`)
      }
    })

    test(`${name} has a cure for anything`, () => {
      for (const value of [30, -1, 1.5, 'x', '', null, true, [], {}, undefined]) assert.match(cure(value), /^Write /)
    })
  }
})

describe('a cure takes up what was written', () => {
  const rows = [
    ['duration', 30, 'Write 30s '],
    ['duration', '30', 'Write 30s '],
    ['duration', '250 milliseconds', 'Write 250ms '],
    ['duration', '5min', 'Write 5m '],
    ['duration', '2 Hours', 'Write 2h '],
    ['duration', 'soon', 'Write 30s '],
    ['size', 1024, 'Write 1024B '],
    ['size', '32M', 'Write 32MiB '],
    ['size', '32mb', 'Write 32MB '],
    ['size', '4k', 'Write 4KiB '],
    ['listen', 8787, 'Write 127.0.0.1:8787, or :8787 '],
  ] as const
  for (const [name, value, expected] of rows) {
    test(`${name} ${JSON.stringify(value)} → ${expected}`, () =>
      assert.ok(formats[name]?.cure(value).startsWith(expected)))
  }
})

test('a secret is parsed into one that does not print', () => {
  const secret = formats['secret']?.parse?.('hunter2')
  assert.ok(secret instanceof Secret)
  assert.equal(secret.reveal(), 'hunter2')
  assert.equal(`${secret.toString()} ${JSON.stringify({ secret })}`, '*** {"secret":"***"}')
})
