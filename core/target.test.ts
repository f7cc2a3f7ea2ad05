import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseTarget } from './target.ts'
import { runs } from '../test/runs.ts'

describe('a request target', () => {
  test('is a path and a query, as they came', () => {
    assert.deepEqual(parseTarget('/v1/chat?a=1&b=/../x', 'h'), { path: '/v1/chat', query: '?a=1&b=/../x' })
    assert.deepEqual(parseTarget('/v1/models/a%2Fb', 'h'), { path: '/v1/models/a%2Fb', query: '' })
    assert.deepEqual(parseTarget('/a%0A?b=%00', 'h'), { path: '/a%0A', query: '?b=%00' })
    assert.deepEqual(parseTarget('/', 'h'), { path: '/', query: '' })
    assert.deepEqual(parseTarget('/a//b/...c/.d', 'h'), { path: '/a//b/...c/.d', query: '' })
  })

  test('has its unreserved characters decoded, so that a rule sees what the upstream will', () => {
    assert.equal(parseTarget('/v1/%6d%65ssages', 'h')?.path, '/v1/messages')
    assert.equal(parseTarget('/v1/a%7Eb%2fc', 'h')?.path, '/v1/a~b%2fc')
  })

  test('in absolute form counts only for the host of the Host header', () => {
    assert.deepEqual(parseTarget('http://gate:8787/v1/x?q', 'Gate:8787'), { path: '/v1/x', query: '?q' })
    assert.deepEqual(parseTarget('http://gate:8787', 'gate:8787'), { path: '/', query: '' })
    for (const url of ['http://other/v1/x', 'ftp://gate:8787/x', 'gate:8787/x', 'http:///x']) {
      assert.equal(parseTarget(url, 'gate:8787'), null, url)
    }
    assert.equal(parseTarget('http://gate/x', undefined), null)
  })

  test('is refused where two servers could read it differently', () => {
    const hostile = [
      '/v1/../admin',
      '/v1/%2e%2e/admin',
      '/v1/.%2E/a',
      '/a/./b',
      '/a/..',
      '/a\\b',
      '/a b',
      '/a%zz',
      '/a%2',
      '/a%00',
      '/a%00/b?c',
      '/é',
      '/a#b',
      '/a\u0000',
      '*',
      '',
    ]
    for (const url of hostile) assert.equal(parseTarget(url, 'h'), null, JSON.stringify(url))
  })

  test('never has a dot segment left, whatever comes', () => {
    const piece = fc.constantFrom('/', '.', '..', '%2e', '%2E', '%', 'a', '%61', '\\', '?', '%2f', '%5c')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const target = parseTarget(`/${pieces.join('')}`, 'h')
        if (target === null) return
        assert.doesNotMatch(target.path, /\/\.{1,2}(\/|$)|\\/)
        assert.equal(parseTarget(target.path, 'h')?.path, target.path, 'a parsed path parses to itself')
      }),
      runs(5000),
    )
  })
})
