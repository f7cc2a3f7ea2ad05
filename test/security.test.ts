/** SECURITY.md promises nothing that no test shows. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { describe, test } from 'node:test'

const root = new URL('../', import.meta.url)
const text = readFileSync(new URL('SECURITY.md', root), 'utf8')

/** The rows of all tables whose second column says what shows the first. */
const rows = text
  .split(/^## /m)
  .filter((section) => section.includes('| Promise | Shown by |'))
  .flatMap((section) => section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| Promise')))
  .map((line) => line.split(' | ').map((cell) => cell.replaceAll(/^\| | \|$/g, '')))

describe('SECURITY.md', () => {
  test('has a row for each promise, and a promise stands once', () => {
    assert.ok(rows.length >= 40, `${rows.length}`)
    const promises = rows.map(([promise]) => promise)
    assert.equal(new Set(promises).size, promises.length)
  })

  for (const [promise = '', shown = '', ...more] of rows) {
    test(`shows by a test: ${promise}`, () => {
      assert.deepEqual(more, [])
      const paths = [...shown.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path)
      assert.ok(
        paths.some((path) => /\.(test|slow)\.ts$|^test\//.test(path)),
        'no test is named',
      )
      for (const path of paths) {
        assert.ok(existsSync(new URL(path, root)), `there is no ${path}`)
        if (path.endsWith('.ts')) assert.match(readFileSync(new URL(path, root), 'utf8'), /\btest\(|assert/, path)
        else assert.ok(statSync(new URL(path, root)).size > 0, path)
      }
    })
  }

  test('says of everybody who meets the gateway what they are trusted with', () => {
    const section = text.slice(text.indexOf('## Who is trusted'), text.indexOf('## Where exchanges go'))
    for (const who of [
      'client',
      'operator',
      'plugin',
      'upstream',
      'store',
      'database',
      'network',
      'admin listener',
      'host',
    ])
      assert.match(section, new RegExp(`^\\|[^|]*\\b${who}`, 'm'), who)
  })

  test('says what is not promised, and how to report', () => {
    for (const heading of ['## How to report', '## Not promised']) assert.ok(text.includes(heading), heading)
  })
})
