/** Upstreams that break, stall and flood: each exchange has one end, says why, and leaves nothing behind. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { answer, ask, Heard, rawUpstream, testPool, timeouts, until } from './http1.fixture.ts'

const json = 'content-type: application/json'
const chunked = `HTTP/1.1 200 OK\r\n${json}\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n`

type Cut = (socket: Socket, said: string) => void

describe('an upstream that is cut off', () => {
  for (const [what, act] of [
    ['by an end', (socket, said) => void socket.end(said)],
    ['by a reset', (socket, said) => void socket.write(said, () => void setImmediate(() => socket.resetAndDestroy()))],
  ] as const satisfies [string, Cut][]) {
    for (const [form, whole] of Object.entries({ 'of known length': answer('{"a":1}', json), 'in chunks': chunked })) {
      test(`${what} at any byte of an answer ${form} has given none`, async () => {
        let cut = 0
        await using upstream = await rawUpstream((socket) => act(socket, whole.slice(0, cut)))
        await using pool = testPool(upstream.origin)
        for (; cut < whole.length; cut++) {
          const heard = await ask(pool).done
          assert.match(heard.error?.code ?? 'whole', /^(UPSTREAM_CLOSED|ECONNRESET)$/, `cut at ${cut}`)
          assert.equal(heard.ends, 1)
          assert.ok('{"a":1}'.startsWith(heard.body))
        }
        assert.equal((await ask(pool).done).body, '{"a":1}')
        await until(() => pool.stats.open === 0)
      })
    }
  }

  test('by a reset in a body without a length has not ended it: an end does', async () => {
    let ends = true
    await using upstream = await rawUpstream((socket) => {
      const said = 'HTTP/1.1 200 OK\r\n\r\nhello'
      if (ends) socket.end(said)
      else socket.write(said, () => void setTimeout(() => socket.resetAndDestroy(), 20))
    })
    await using pool = testPool(upstream.origin)
    assert.equal((await ask(pool).done).body, 'hello')
    ends = false
    assert.equal((await ask(pool).done).error?.code, 'ECONNRESET')
  })

  test('on its writing side alone, before it has answered, will not answer', async () => {
    await using upstream = await rawUpstream((socket) => void socket.end())
    await using pool = testPool(upstream.origin)
    assert.equal((await ask(pool).done).error?.code, 'UPSTREAM_CLOSED')
  })
})

describe('an upstream that takes its time', () => {
  test('for its head is given up, also where it sends a byte of it now and then', async () => {
    const timers = new Set<NodeJS.Timeout>()
    await using upstream = await rawUpstream((socket, request) => {
      if (!request.startsWith('GET')) return
      socket.write('HTTP/1.1 200 OK\r\nx: ')
      timers.add(setInterval(() => socket.write('y'), 20))
    })
    await using pool = testPool(upstream.origin, { timeouts: { ...timeouts, headers: 300 } })
    assert.equal((await ask(pool).done).error?.code, 'HEADERS_TIMEOUT')
    assert.equal((await ask(pool, { method: 'GET', body: null }).done).error?.code, 'HEADERS_TIMEOUT')
    for (const timer of timers) clearInterval(timer)
    assert.equal(pool.stats.open, 0)
  })

  test('in the midst of a body is given up when it is silent, and not while it makes some way', async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n')
      let left = 7
      const timer = setInterval(() => (left-- > 0 ? socket.write('x') : clearInterval(timer)), 100)
      socket.on('close', () => clearInterval(timer))
    })
    await using pool = testPool(upstream.origin, { timeouts: { ...timeouts, idle: 300 } })
    const heard = await ask(pool).done
    assert.deepEqual([heard.body, heard.error?.code], ['xxxxxxx', 'IDLE_TIMEOUT'])
  })

  test('because nobody reads on is not given up', async () => {
    await using upstream = await rawUpstream((socket) => void socket.write(answer('x'.repeat(2 ** 22))))
    await using pool = testPool(upstream.origin, { timeouts: { ...timeouts, idle: 250 } })
    const heard = new Heard()
    heard.flows = () => false
    ask(pool, {}, heard)
    await until(() => heard.chunks.length > 0)
    await new Promise((resolve) => setTimeout(resolve, 1000)) // the time that must not count
    assert.equal(heard.ends, 0)
    heard.flows = () => true
    heard.flow!.resume(heard)
    assert.equal((await heard.done).body.length, 2 ** 22)
  })
})

describe('an upstream that floods', () => {
  test('with informational answers is given up after 64', async () => {
    await using upstream = await rawUpstream(
      (socket) => void socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(65) + answer()),
    )
    await using pool = testPool(upstream.origin)
    assert.equal((await ask(pool).done).error?.code, 'BAD_ANSWER')
  })

  for (const [what, said] of Object.entries({
    'with one long header line': `x: ${'y'.repeat(70_000)}`,
    'with many header lines': 'x: y\r\n'.repeat(300),
    'with a header line that never ends': `x: ${'y'.repeat(2 ** 20)}`,
  })) {
    test(`${what} is given up`, async () => {
      await using upstream = await rawUpstream((socket) => void socket.write(`HTTP/1.1 200 OK\r\n${said}\r\n\r\n`))
      await using pool = testPool(upstream.origin)
      assert.equal((await ask(pool).done).error?.code, 'BAD_ANSWER')
      await until(() => upstream.sockets.size === 0)
    })
  }

  test('with pieces of one byte gives each of them, in its chunk, and the whole', async () => {
    const text = 'x'.repeat(20_000)
    await using upstream = await rawUpstream((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      socket.write('1\r\nx\r\n'.repeat(text.length))
      socket.write('0\r\n\r\n')
    })
    await using pool = testPool(upstream.origin)
    const heard = await ask(pool).done
    assert.equal(heard.body, text)
    assert.equal(heard.chunks.length, text.length)
    assert.equal(pool.stats.idle, 1)
  })

  test('with more than its reader takes waits, and holds a bounded part of it', async () => {
    const piece = Buffer.alloc(2 ** 16, 0x61)
    const pieces = 512 // 32 MiB
    let written = 0
    await using upstream = await rawUpstream(async (socket): Promise<void> => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${piece.length * pieces}\r\n\r\n`)
      for (; written < pieces; written++)
        if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve))
    })
    await using pool = testPool(upstream.origin)
    const heard = new Heard()
    heard.flows = () => false
    ask(pool, {}, heard)
    let before = -1
    while (written !== before) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 50)) // until it stands still
    }
    const held = Buffer.concat(heard.chunks).length
    assert.ok(held <= 2 ** 18, `${held} bytes were handed on after the pause`)
    assert.ok(written < pieces / 2, 'the upstream was held back')
    const read = async () => {
      while (heard.ends === 0) {
        heard.flow!.resume(heard)
        await turn()
      }
    }
    await read()
    assert.equal(heard.body.length, piece.length * pieces)
  })
})

describe('a client that leaves', () => {
  test('at any moment breaks its own connection and no other', async () => {
    const said = answer('{"a":1}', json).split('')
    await using upstream = await rawUpstream(async (socket, request) => {
      if (request.startsWith('GET')) return void socket.write(answer())
      for (const byte of said) {
        socket.write(byte)
        await turn()
      }
    })
    await using pool = testPool(upstream.origin)
    for (let turns = 0; turns < 60; turns++) {
      const heard = ask(pool)
      for (let waited = 0; waited < turns && heard.ends === 0; waited++) await turn()
      heard.flow!.abort(heard, new Error('left'))
      const ends = heard.ends
      const other = await ask(pool, { method: 'GET', body: null }).done
      assert.equal(other.body, '{"a":1}')
      assert.equal(heard.ends, ends, 'whoever left is told no more')
    }
  })

  test('from inside every call it is given is not called again', async () => {
    await using upstream = await rawUpstream((socket) => void socket.write(chunked))
    await using pool = testPool(upstream.origin)
    class Leaver extends Heard {
      readonly at: string
      calls = 0
      constructor(at: string) {
        super()
        this.at = at
      }
      override onFlow(flow: Heard['flow'] & object): void {
        super.onFlow(flow)
        this.#leave('onFlow')
      }
      override onHead(...head: Parameters<Heard['onHead']>): void {
        super.onHead(...head)
        this.#leave('onHead')
      }
      override onData(chunk: Buffer): boolean {
        super.onData(chunk)
        this.#leave('onData')
        return false
      }
      #leave(where: string): void {
        if (where === this.at) this.flow!.abort(this, new Error('left'))
        if (where === this.at) this.calls++
      }
    }
    for (const at of ['onFlow', 'onHead', 'onData']) {
      const leaver = new Leaver(at)
      ask(pool, {}, leaver)
      await until(() => leaver.calls > 0)
      assert.equal((await ask(pool).done).body, '{"a":1}')
      assert.deepEqual([leaver.ends, leaver.chunks.length], [0, at === 'onData' ? 1 : 0])
    }
  })
})

test('ten thousand connections come and go, and none is left', async () => {
  await using upstream = await rawUpstream((socket, request) => {
    if (request.includes('/reset')) socket.resetAndDestroy()
    else socket.end(answer('x', 'connection: close'))
  })
  await using pool = testPool(upstream.origin)
  const paths = ['/whole', '/whole', '/reset', '/left']
  let next = 0
  const worker = async () => {
    while (next < 10_000) {
      const path = paths[next++ % paths.length]!
      const heard = ask(pool, { path })
      if (path === '/left') heard.flow!.abort(heard, new Error('left'))
      else assert.equal((await heard.done).error === null, path === '/whole')
    }
  }
  await Promise.all(Array.from({ length: 50 }, worker))
  await until(() => pool.stats.open === pool.stats.idle)
  await pool.close()
  assert.deepEqual(pool.stats, { open: 0, idle: 0, waiting: 0 })
  await until(() => upstream.sockets.size === 0)
})
