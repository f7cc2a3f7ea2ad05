import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ownPaths, Pages } from './pages.ts'

const handle = () => {}

describe('the pages of plugins', () => {
  test('are found by method and path', () => {
    const pages = new Pages()
    pages.add('a', 'GET', '/a', handle)
    assert.equal(pages.find('GET', '/a')?.plugin, 'a')
    assert.equal(pages.find('POST', '/a'), null)
    assert.equal(pages.find('GET', '/a/'), null)
  })

  test('with a star are found by what stands before it, the longest first, an exact one before all', () => {
    const pages = new Pages()
    pages.add('short', 'GET', '/x/*', handle)
    pages.add('long', 'GET', '/x/y/*', handle)
    pages.add('exact', 'GET', '/x/y/z', handle)
    assert.equal(pages.find('GET', '/x/1')?.plugin, 'short')
    assert.equal(pages.find('GET', '/x/y/1')?.plugin, 'long')
    assert.equal(pages.find('GET', '/x/y/z')?.plugin, 'exact')
    assert.equal(pages.find('GET', '/x/'), null, 'the star stands for something')
  })

  test('cannot be had twice: the error names both plugins', () => {
    const pages = new Pages()
    pages.add('first', 'GET', '/a', handle)
    assert.throws(
      () => pages.add('second', 'GET', '/a', handle),
      /GET \/a belongs to first already, and second wants it/,
    )
    pages.add('second', 'POST', '/a', handle)
    pages.add('second', 'GET', '/a*', handle)
    assert.throws(() => pages.add('third', 'GET', '/a*', handle), /belongs to second/)
  })

  test('take no path of the gateway’s own, and none that no request has', () => {
    for (const path of ownPaths) assert.throws(() => new Pages().add('a', 'GET', path, handle), /the gateway's own/)
    for (const path of ['', 'a', '/a?b', '/a b', '/*/a', '/a**'])
      assert.throws(() => new Pages().add('a', 'GET', path, handle), /no path/)
  })
})
