import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { answerHeaders, requestHeaders } from './headers.ts'

const raw = (...names: string[]) => names.map((name) => Buffer.from(name, 'latin1'))

describe('headers on their way to an upstream', () => {
  test('lose what belongs to one hop, and keep the rest as it came', () => {
    const kept = {
      'content-type': 'application/json',
      accept: '*/*',
      'x-stainless-lang': 'js',
      'set-cookie': ['a', 'b'],
    }
    const dropped = {
      host: 'gate',
      connection: 'close, X-Hop , content-type-not',
      'x-hop': '1',
      'keep-alive': 'timeout=5',
      te: 'trailers',
      trailer: 'x',
      upgrade: 'h2c',
      'http2-settings': 'x',
      'transfer-encoding': 'chunked',
      'proxy-authorization': 'Basic x',
      'proxy-connection': 'close',
      expect: '100-continue',
      'content-length': '7',
    }
    assert.deepEqual(requestHeaders({ ...kept, ...dropped }), kept)
  })

  test('cannot change what the object of headers is', () => {
    const given = Object.create(null, { ['__proto__']: { value: 'x', enumerable: true } }) as Record<string, string> // as Node makes it
    assert.deepEqual(requestHeaders(given), {})
  })

  test('are a copy: the client’s stay as they are', () => {
    const given = { accept: 'a' }
    requestHeaders(given).accept = 'b'
    assert.equal(given.accept, 'a')
  })
})

describe('headers of an answer', () => {
  test('are lower case, lose what belongs to one hop, and gather repeated names', () => {
    const headers = answerHeaders(
      raw(
        'Content-Type',
        'text/plain',
        'Set-Cookie',
        'a=1',
        'SET-COOKIE',
        'b=2',
        'set-cookie',
        'c=3',
        'Connection',
        'close, X-Hop',
        'X-Hop',
        '1',
        'Keep-Alive',
        'timeout=5',
        'Transfer-Encoding',
        'chunked',
        'Content-Length',
        '5',
      ),
    )
    assert.deepEqual(headers, {
      'content-type': 'text/plain',
      'set-cookie': ['a=1', 'b=2', 'c=3'],
      'content-length': '5',
    })
  })

  test('lose what any of several Connection lines names', () => {
    const headers = answerHeaders(raw('Connection', 'x-hop', 'X-Hop', '1', 'X-Other', '2', 'Connection', 'close'))
    assert.deepEqual(headers, { 'x-other': '2' })
  })

  test('cannot have their length named away', () => {
    assert.deepEqual(answerHeaders(raw('Connection', 'content-length', 'Content-Length', '5')), {
      'content-length': '5',
    })
  })

  test('may be called what every object has', () => {
    const headers = answerHeaders(raw('constructor', '1', 'Constructor', '2', '__proto__', '3', '__proto__', '4'))
    assert.deepEqual(Object.entries(headers), [['constructor', ['1', '2']]])
    assert.equal(Object.getPrototypeOf(headers), Object.prototype)
  })

  test('keep bytes beyond ASCII', () => {
    assert.deepEqual(answerHeaders(raw('x-note', 'caf\u00e9')), { 'x-note': 'caf\u00e9' })
  })
})
