/** What a request looks like on the wire, and that nothing in it can look like more. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../../test/runs.ts'
import type { Sending } from './client.ts'
import { answer, ask, Heard, rawUpstream, testPool, until } from './http1.fixture.ts'
import { isRepeatable, writeHead } from './http1-request.ts'

const head = (sending: Partial<Sending>) =>
  writeHead({ method: 'POST', path: '/', headers: {}, body: null, ...sending }, 'up')

async function* pieces(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

describe('the head of a request', () => {
  test('has a host, keeps the connection, and repeats what has several values', () => {
    assert.equal(
      head({ path: '/a?b', headers: { accept: '*/*', 'x-two': ['1', '2'], 'x-none': undefined } }),
      'POST /a?b HTTP/1.1\r\nhost: up\r\nconnection: keep-alive\r\naccept: */*\r\nx-two: 1\r\nx-two: 2\r\ncontent-length: 0\r\n\r\n',
    )
  })

  test('says of a body what is true, whatever the headers say', () => {
    const lengths = { 'content-length': '99', 'transfer-encoding': 'gzip' }
    assert.match(head({ headers: lengths, body: Buffer.from('abc') }), /\r\ncontent-length: 3\r\n\r\n$/)
    assert.doesNotMatch(head({ headers: lengths, body: Buffer.from('abc') }), /gzip|99/)
    assert.match(head({ body: pieces() }), /\r\ntransfer-encoding: chunked\r\n\r\n$/)
    assert.match(head({ headers: { 'content-length': '7' }, body: pieces() }), /\r\ncontent-length: 7\r\n\r\n$/)
    assert.doesNotMatch(head({ method: 'GET' }), /length|chunked/)
    assert.match(head({ method: 'DELETE', headers: { 'content-length': '0' } }), /\r\ncontent-length: 0\r\n\r\n$/)
  })

  const spoilt: Record<string, Partial<Sending>> = {
    'a line break in a value': { headers: { x: 'a\r\nevil: 1' } },
    'a bare LF in a value': { headers: { x: 'a\nevil: 1' } },
    'NUL in a value': { headers: { x: 'a\0' } },
    'what latin-1 does not have': { headers: { x: 'a\u{1f600}' } },
    'a line break in one of several values': { headers: { x: ['a', 'b\r\n'] } },
    'a colon in a name': { headers: { 'x: 1\r\nevil': '1' } },
    'no name': { headers: { '': '1' } },
    'a space in the path': { path: '/a HTTP/1.1\r\n' },
    'no path': { path: '' },
    'a space in the method': { method: 'GET /' },
    'a length that is none': { headers: { 'content-length': '1, 1' }, body: pieces() },
    'a line break in the host': { headers: { host: 'a\r\nevil: 1' } },
  }
  for (const [what, sending] of Object.entries(spoilt))
    test(`with ${what} is none`, () => assert.throws(() => head(sending), { code: 'BAD_REQUEST' }))

  test('has as many lines as it has fields, whatever is in them', () => {
    const text = fc.string({ unit: fc.integer({ min: 0, max: 300 }).map((code) => String.fromCharCode(code)) })
    fc.assert(
      fc.property(text, text, text, (path, name, value) => {
        let bytes = ''
        try {
          bytes = head({ path: `/${path}`, headers: { [name]: value } })
        } catch (error) {
          return (error as NodeJS.ErrnoException).code === 'BAD_REQUEST' // nothing else is thrown
        }
        const lines = bytes.split(/[\r\n]/).filter((line) => line !== '')
        return lines.length <= 5 && bytes.indexOf('\r\n\r\n') === bytes.length - 4
      }),
      runs(5000),
    )
  })
})

test('a request may be repeated where it asks only, or says that it can be told from the first', () => {
  const sending: Sending = { method: 'GET', path: '/', headers: {}, body: null }
  assert.equal(isRepeatable(sending), true)
  assert.equal(isRepeatable({ ...sending, method: 'POST' }), false)
  assert.equal(isRepeatable({ ...sending, method: 'DELETE' }), false)
  assert.equal(isRepeatable({ ...sending, method: 'POST', headers: { 'idempotency-key': '1' } }), true)
  assert.equal(isRepeatable({ ...sending, body: pieces() }), false)
})

describe('a body', () => {
  for (const length of [0, 1, 16 * 1024, 16 * 1024 + 1, 2 ** 21])
    test(`of ${length} bytes arrives as it is`, async () => {
      let seen = 0
      await using upstream = await rawUpstream((socket, request) => {
        seen = request.length - request.indexOf('\r\n\r\n') - 4
        socket.on('data', (chunk: Buffer) => {
          seen += chunk.length
          if (seen === length) setImmediate(() => socket.write(answer()))
        })
        if (seen === length) socket.write(answer())
      })
      await using pool = testPool(upstream.origin)
      const heard = await ask(pool, { body: Buffer.alloc(length, 0x61) }).done
      assert.deepEqual([heard.status, seen], [200, length])
    })

  test('that comes piece by piece goes in chunks, or with its length', async () => {
    const bodies: string[] = []
    await using upstream = await rawUpstream((socket, request) => {
      let text = request.slice(request.indexOf('\r\n\r\n') + 4)
      const look = () => {
        if (!/0\r\n\r\n$|^hello$/.test(text)) return
        bodies.push(text)
        socket.write(answer())
      }
      socket.removeAllListeners('data')
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
        look()
      })
      look()
    })
    await using pool = testPool(upstream.origin)
    await ask(pool, { body: pieces('hel', '', 'lo') }).done
    await pool.close()
    await using other = testPool(upstream.origin)
    await ask(other, { body: pieces('hel', 'lo'), headers: { 'content-length': '5' } }).done
    assert.deepEqual(bodies, ['3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n', 'hello'])
  })

  test('that breaks, or is not as long as it said, fails with its own error', async () => {
    await using upstream = await rawUpstream(() => {})
    await using pool = testPool(upstream.origin)
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from('a')
      throw Object.assign(new Error('the client has gone'), { code: 'CLIENT_GONE' })
    }
    assert.equal((await ask(pool, { body: broken() }).done).error?.code, 'CLIENT_GONE')
    const headers = { 'content-length': '3' }
    assert.equal((await ask(pool, { headers, body: pieces('ab') }).done).error?.code, 'BAD_REQUEST')
    assert.equal((await ask(pool, { headers, body: pieces('abcd') }).done).error?.code, 'BAD_REQUEST')
    await until(() => pool.stats.open === 0)
  })

  test('whose answer comes before its end is not sent on, and its connection serves nobody else', async () => {
    let given = 0
    let isOpen = true
    async function* endless(): AsyncGenerator<Buffer> {
      while (isOpen) {
        given++
        yield Buffer.alloc(1024)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await using upstream = await rawUpstream((socket) => {
      socket.removeAllListeners('data')
      socket.resume()
      socket.write(answer().replace('200 OK', '413 Large'))
    })
    await using pool = testPool(upstream.origin)
    const heard = await ask(pool, { body: endless() }).done
    assert.deepEqual([heard.status, heard.body, heard.error], [413, '{"a":1}', null])
    assert.equal(pool.stats.open, 0)
    const then = given
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(given <= then + 1, 'nobody is asked for more')
    isOpen = false
  })

  test('is asked for no faster than the upstream takes it', async () => {
    let given = 0
    async function* large(): AsyncGenerator<Buffer> {
      for (; given < 2000; given++) yield Buffer.alloc(2 ** 16)
    }
    await using upstream = await rawUpstream((socket) => void socket.pause())
    await using pool = testPool(upstream.origin)
    const heard = ask(pool, { body: large() }, new Heard())
    let before = -1
    while (given !== before) {
      before = given
      await new Promise((resolve) => setTimeout(resolve, 50)) // until it stands still
    }
    assert.ok(given < 1000, `${given} pieces of 64 KiB`)
    heard.flow!.abort(heard, new Error('enough'))
    assert.equal(pool.stats.open, 0)
  })
})
