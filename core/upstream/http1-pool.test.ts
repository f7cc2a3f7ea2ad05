/** Connections that are kept, lent again, and let go. */
import assert from 'node:assert/strict'
import { createServer as createTcp, type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { answer, ask, Heard, rawUpstream, testPool, timeouts, until, type Act, dialTo } from './http1.fixture.ts'

const well: Act = (socket) => void socket.write(answer())

/** Holds the event loop, so that what happens to a socket meanwhile is not known yet. */
function hold(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

describe('a connection', () => {
  test('serves one request after the other', async () => {
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin)
    for (let count = 0; count < 5; count++) assert.equal((await ask(pool).done).body, '{"a":1}')
    assert.equal(upstream.dialed, 1)
    assert.deepEqual(pool.stats, { open: 1, idle: 1, waiting: 0 })
  })

  test('that was used last is used next', async () => {
    const ports: number[] = []
    await using upstream = await rawUpstream((socket) => {
      ports.push(socket.remotePort!)
      socket.write(answer())
    })
    await using pool = testPool(upstream.origin)
    await Promise.all([ask(pool).done, ask(pool).done])
    assert.equal(pool.stats.idle, 2)
    for (let count = 0; count < 3; count++) await ask(pool).done
    assert.equal(new Set(ports.slice(2)).size, 1)
  })

  test('is not waited for by more than one: each request has its own', async () => {
    const waiting: (() => void)[] = []
    await using upstream = await rawUpstream((socket) => void waiting.push(() => socket.write(answer())))
    await using pool = testPool(upstream.origin)
    const heard = Array.from({ length: 20 }, () => ask(pool))
    await until(() => waiting.length === 20)
    assert.equal(upstream.dialed, 20)
    for (const go of waiting) go()
    await Promise.all(heard.map(({ done }) => done))
  })

  test('is given to whoever waits when it becomes free before another one is open', async () => {
    await using upstream = await rawUpstream(well)
    let dials = 0
    const dial = dialTo(upstream.origin)
    // The second connection never comes.
    await using pool = testPool(upstream.origin, { dial: (done) => (dials++ === 0 ? dial(done) : () => {}) })
    const first = ask(pool)
    await until(() => pool.stats.open === 1)
    const second = ask(pool)
    assert.equal((await second.done).status, 200)
    assert.equal((await first.done).status, 200)
    assert.equal(dials, 2)
  })

  test('is counted against a limit, where there is one: the next request waits', async () => {
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin, { mostConnections: 2 })
    const heard = Array.from({ length: 10 }, () => ask(pool))
    await Promise.all(heard.map(({ done }) => done))
    assert.equal(upstream.dialed, 2)
  })

  const spent: Record<string, string> = {
    'says that it closes': answer('x', 'connection: close'),
    'says so in a list': answer('x', 'Connection: foo, Close'),
    'is of HTTP/1.0': answer('x', 'connection: keep-alive').replace('1.1', '1.0'),
    'has bytes behind its end': `${answer('x')}!`,
    'was preceded by a 100 that nobody asked for': `HTTP/1.1 100 Continue\r\n\r\n${answer('x')}`,
    'is kept for a second, which is as good as over': answer('x', 'keep-alive: timeout=1'),
  }
  for (const [what, bytes] of Object.entries(spent)) {
    test(`whose answer ${what} serves nobody else`, async () => {
      await using upstream = await rawUpstream((socket) => void socket.write(bytes))
      await using pool = testPool(upstream.origin)
      const heard = await ask(pool).done
      assert.deepEqual([heard.body, heard.error, heard.ends], ['x', null, 1])
      assert.equal(pool.stats.open, 0)
      await ask(pool).done
      assert.equal(upstream.dialed, 2)
    })
  }

  test('that says something while it is idle is closed, and what it said answers nobody', async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.write(answer())
      setImmediate(() => socket.write(answer('evil')))
    })
    await using pool = testPool(upstream.origin)
    await ask(pool).done
    await until(() => pool.stats.open === 0)
    assert.equal((await ask(pool).done).body, '{"a":1}')
  })

  test('that its server closes while it is idle is not used again', async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.write(answer())
      setImmediate(() => socket.end())
    })
    await using pool = testPool(upstream.origin)
    await ask(pool).done
    await until(() => pool.stats.open === 0)
    assert.equal((await ask(pool).done).status, 200)
    assert.equal(upstream.dialed, 2)
  })

  test('whose server says how long it keeps it is let go before', async () => {
    await using upstream = await rawUpstream((socket) => void socket.write(answer('x', 'keep-alive: timeout=2, max=9')))
    await using pool = testPool(upstream.origin)
    await ask(pool).done
    assert.equal(pool.stats.idle, 1)
    await until(() => pool.stats.idle === 0)
    assert.equal(pool.stats.open, 0)
  })
})

describe('a server that closes as it is asked', () => {
  /** Answers the first request of each connection, and does the other thing at the second. */
  const once =
    (act: Act): Act =>
    (socket, request, count) =>
      count === 1 ? void socket.write(answer()) : void act(socket, request, count)

  for (const [what, act] of [
    ['ends the connection', (socket) => void socket.end()],
    ['resets it', (socket) => void socket.resetAndDestroy()],
  ] as const satisfies [string, Act][]) {
    test(`and ${what} is asked once more by GET, on a new connection`, async () => {
      await using upstream = await rawUpstream(once(act))
      await using pool = testPool(upstream.origin)
      await ask(pool).done
      const heard = await ask(pool, { method: 'GET', body: null }).done
      assert.deepEqual([heard.status, heard.ends], [200, 1])
      assert.equal(upstream.requests.length, 3)
    })

    test(`and ${what} is not asked twice by POST, which may have been carried out`, async () => {
      await using upstream = await rawUpstream(once(act))
      await using pool = testPool(upstream.origin)
      await ask(pool).done
      const heard = await ask(pool).done
      assert.match(heard.error?.code ?? '', /^(UPSTREAM_CLOSED|ECONNRESET)$/)
      assert.equal(heard.ends, 1)
      assert.equal(upstream.requests.length, 2)
    })

    test(`and ${what} is asked once more by a POST that says it can be told from the first`, async () => {
      await using upstream = await rawUpstream(once(act))
      await using pool = testPool(upstream.origin)
      await ask(pool).done
      assert.equal((await ask(pool, { headers: { 'idempotency-key': 'a' } }).done).status, 200)
    })
  }

  test('a new connection is asked once, whatever the method: nobody had reason to close it', async () => {
    await using upstream = await rawUpstream((socket) => void socket.resetAndDestroy())
    await using pool = testPool(upstream.origin)
    const heard = await ask(pool, { method: 'GET', body: null }).done
    assert.match(heard.error?.code ?? '', /^(UPSTREAM_CLOSED|ECONNRESET)$/)
    assert.equal(upstream.requests.length, 1)
  })

  test('and has begun to answer is not asked twice', async () => {
    await using upstream = await rawUpstream(once((socket) => void socket.end('HTTP/1.1 ')))
    await using pool = testPool(upstream.origin)
    await ask(pool).done
    const heard = await ask(pool, { method: 'GET', body: null }).done
    assert.equal(heard.error?.code, 'UPSTREAM_CLOSED')
  })

  test('and had reset the connection before we wrote costs a POST nothing: the system takes no byte of it', async () => {
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin)
    await ask(pool).done
    // The reset has come, but this process has not looked.
    for (const socket of upstream.sockets) socket.resetAndDestroy()
    const heard = ask(pool)
    assert.equal((await heard.done).status, 200)
    assert.equal(heard.ends, 1)
    assert.equal(upstream.requests.length, 2)
  })

  test('while the gateway was busy, and the connection had rested, costs a POST nothing: it is looked at first', async () => {
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin)
    await ask(pool).done
    hold(1100)
    // The end is in the socket, and this process has not looked.
    for (const socket of upstream.sockets) socket.destroy()
    assert.equal((await ask(pool).done).status, 200)
    assert.equal(upstream.dialed, 2)
  })
})

describe('a pool', () => {
  test('tells whoever waits that there is no connection, and why', async () => {
    const server = createTcp().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.on('listening', resolve))
    const { port } = server.address() as AddressInfo // a TCP server has one
    await new Promise((resolve) => server.close(resolve))
    await using pool = testPool(new URL(`http://127.0.0.1:${port}`))
    const heard = await Promise.all([ask(pool).done, ask(pool).done])
    for (const { error } of heard) assert.equal(error?.code, 'ECONNREFUSED')
    assert.deepEqual(pool.stats, { open: 0, idle: 0, waiting: 0 })
  })

  test('gives a connection up that does not come in time', async () => {
    let given = 0
    // Its listener keeps the process awake: the pool's own timer does not.
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin, {
      dial: () => () => void given++,
      timeouts: { ...timeouts, connect: 300 },
    })
    assert.equal((await ask(pool).done).error?.code, 'CONNECT_TIMEOUT')
    assert.equal(given, 1)
  })

  test('forgets whoever gave up while there was no connection yet', async () => {
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin)
    const gone = ask(pool)
    gone.flow!.abort(gone, new Error('gone'))
    await until(() => pool.stats.idle === 1)
    assert.deepEqual([gone.ends, upstream.requests.length], [0, 0])
  })

  test('does not hear whoever has had its answer: the connection is another’s by now', async () => {
    await using upstream = await rawUpstream(well)
    await using pool = testPool(upstream.origin)
    const first = await ask(pool).done
    const second = ask(pool)
    first.flow!.abort(first, new Error('late'))
    first.flow!.resume(first)
    assert.equal((await second.done).status, 200)
    assert.equal(upstream.dialed, 1)
  })

  test('tells everybody when it closes, once, and whoever comes later', async () => {
    await using upstream = await rawUpstream(() => {})
    await using pool = testPool(upstream.origin, { mostConnections: 1 })
    const heard = [ask(pool), ask(pool)]
    await until(() => upstream.requests.length === 1)
    await pool.close()
    heard.push(ask(pool))
    for (const { error, ends } of heard) assert.deepEqual([error?.code, ends], ['UPSTREAM_CLOSED', 1])
    await until(() => upstream.sockets.size === 0)
  })

  test('keeps no more idle connections than a quiet hour needs, and loses no request in a burst', async () => {
    const waiting: (() => void)[] = []
    await using upstream = await rawUpstream((socket) => void waiting.push(() => socket.write(answer())))
    await using pool = testPool(upstream.origin)
    const heard = Array.from({ length: 400 }, () => ask(pool, {}, new Heard()))
    await until(() => waiting.length === 400)
    for (const go of waiting) go()
    for (const { done } of heard) assert.equal((await done).status, 200)
    assert.deepEqual(pool.stats, { open: 256, idle: 256, waiting: 0 })
  })
})
