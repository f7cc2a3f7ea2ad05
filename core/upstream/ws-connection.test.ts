import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import {
  ManualClock,
  laneOf,
  recorder,
  testPool,
  until,
  wsUpstream,
} from '../../test/conformance/websocket-upstream.ts'
import { dialer } from './dial.ts'
import { systemClock } from './ws-clock.ts'

describe('messages', () => {
  test('come and go as the bytes they are, text as text and binary as binary', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    const { messages, listener } = recorder()
    lease.listen(listener)
    const text = Buffer.from('{"type":"response.create","input":"h\u00e9"}')
    const binary = randomBytes(70_000)
    const before = Buffer.from(binary)
    assert.equal(lease.send(text, false), true)
    assert.equal(lease.send('a string', false), true)
    assert.equal(lease.send(binary, true), true)
    assert.equal(lease.send('', false), true)
    await until(() => messages.length === 4)
    assert.deepEqual(
      messages.map(({ data, isBinary }) => [data, isBinary]),
      [
        [text, false],
        [Buffer.from('a string'), false],
        [before, true],
        [Buffer.alloc(0), false],
      ],
    )
    // The same bytes may be asked for again by the next attempt: masking must not have touched them.
    assert.deepEqual(binary, before)
    lease.return()
  })

  test('that come with the handshake are not lost, in order, however late somebody listens', async () => {
    await using upstream = await wsUpstream({
      onSocket(socket) {
        for (let at = 0; at < 100; at++) socket.send(`event ${at}`)
      },
    })
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    await until(() => upstream.sockets[0]!.bufferedAmount === 0)
    const { messages, listener } = recorder()
    lease.listen(listener)
    await until(() => messages.length === 100)
    assert.deepEqual(
      messages.map(({ data }) => data.toString()),
      Array.from({ length: 100 }, (_, at) => `event ${at}`),
    )
    lease.return()
  })

  test('that come before the next holder of a connection listens are held, and no more of them than fit', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const first = await rig.pool.acquire(lane)
    first.return()
    const lease = await rig.pool.acquire(lane)
    assert.equal(lease.id, first.id)
    const socket = upstream.sockets[0]!
    const chunk = Buffer.alloc(1024 * 1024)
    for (let at = 0; at < 32; at++) socket.send(chunk)
    let quiet = 0
    for (let left = -1; quiet < 100; quiet++) {
      if (socket.bufferedAmount !== left) quiet = 0
      left = socket.bufferedAmount
      await turn()
    }
    assert.ok(socket.bufferedAmount > 8 * chunk.length, 'the upstream had to wait')
    const { messages, listener } = recorder()
    lease.listen(listener)
    await until(() => messages.length === 32)
    lease.send('and so on', false)
    await until(() => messages.length === 33)
    lease.return()
    assert.equal(rig.pool.stats().idle, 1)
  })

  test('of the next holder are not told to the one before', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const [one, two] = [recorder(), recorder()]
    const first = await rig.pool.acquire(lane)
    first.listen(one.listener)
    first.return()
    const second = await rig.pool.acquire(lane)
    first.listen(one.listener)
    second.listen(two.listener)
    second.send('x', false)
    await until(() => two.messages.length === 1)
    assert.equal(one.messages.length, 0)
    second.return()
  })

  test('longer than the limit end the connection, and the fault is named', async () => {
    await using upstream = await wsUpstream({
      onSocket: (socket) => void socket.once('message', () => socket.send(Buffer.alloc(2000))),
    })
    await using rig = testPool({ maxPayload: 1999 })
    const lease = await rig.pool.acquire(laneOf(upstream))
    const closed = new Promise((resolve) => upstream.sockets[0]!.once('close', resolve))
    const { messages, ends, listener } = recorder()
    lease.listen(listener)
    lease.send('more', false)
    await until(() => ends.length === 1)
    assert.equal(messages.length, 0)
    assert.equal(ends[0]!.code, 1006)
    assert.equal(ends[0]!.fault?.code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
    assert.equal(await closed, 1009)
    lease.return()
    assert.equal(rig.pool.stats().broken, 1)
  })

  test('of 16 MiB are taken unless the options say otherwise, and one byte more is not', async () => {
    const limit = 16 * 1024 * 1024
    for (const [size, isTaken] of [
      [limit, true],
      [limit + 1, false],
    ] as const) {
      await using upstream = await wsUpstream({
        onSocket: (socket) => void socket.once('message', () => socket.send(Buffer.alloc(size))),
      })
      await using rig = testPool()
      const lease = await rig.pool.acquire(laneOf(upstream))
      const { messages, ends, listener } = recorder()
      lease.listen(listener)
      lease.send('more', false)
      await until(() => messages.length + ends.length > 0)
      assert.equal(messages[0]?.data.length, isTaken ? size : undefined)
      lease.markBroken()
    }
  })
})

describe('a slow reader', () => {
  test('upstream makes `send` say false, and `onDrain` tells when to go on', async () => {
    await using upstream = await wsUpstream({ onSocket: (socket) => socket.pause() })
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    const { counts, listener } = recorder()
    lease.listen(listener)
    const chunk = Buffer.alloc(512 * 1024)
    let sent = 0
    // The system's own buffers take some megabytes first.
    while (lease.send(chunk, true)) {
      assert.ok(++sent < 200, 'send never said false')
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(lease.buffered > 1024 * 1024)
    assert.equal(counts.drains, 0)
    upstream.sockets[0]!.resume()
    await until(() => counts.drains === 1)
    assert.ok(lease.buffered <= 64 * 1024)
    assert.equal(lease.send('more', false), true)
    lease.markBroken()
  })

  test('here makes the upstream wait', async () => {
    await using upstream = await wsUpstream({ onSocket() {} })
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    const { messages, listener } = recorder()
    lease.listen(listener)
    lease.pause()
    const socket = upstream.sockets[0]!
    const chunk = Buffer.alloc(1024 * 1024)
    for (let at = 0; at < 32; at++) socket.send(chunk)
    // What does not fit into the system's buffers stays with the sender.
    await until(() => socket.bufferedAmount > 0 && socket.bufferedAmount < 32 * chunk.length)
    const stuck = socket.bufferedAmount
    assert.ok(stuck > 0)
    assert.equal(messages.length, 0)
    lease.resume()
    await until(() => messages.length === 32)
    assert.equal(socket.bufferedAmount, 0)
    lease.return()
    assert.equal(rig.pool.stats().idle, 1)
  })

  test('that gives a paused connection back gives back one that reads', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const lease = await rig.pool.acquire(lane)
    lease.pause()
    lease.return()
    const next = await rig.pool.acquire(lane)
    const { messages, listener } = recorder()
    next.listen(listener)
    next.send('x', false)
    await until(() => messages.length === 1)
    next.return()
  })
})

describe('the time of the last use', () => {
  test('moves at most once a second', async () => {
    await using upstream = await wsUpstream()
    const { dial } = await import('./ws-dial.ts')
    const clock = new ManualClock()
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>()
    const options = { handshakeTimeout: 1e9, closeTimeout: 1000, maxPayload: 1024, isCompressed: false }
    const way = dialer(upstream.url, { timeout: 1000, allowsPrivate: true })
    const to = { id: 'o/1', url: upstream.url, dial: way, headers: {}, protocols: [], onClosed }
    const connection = await dial(to, options, clock).opened
    const opened = clock.now()
    const seen: number[] = []
    for (const ms of [0, 500, 499, 1, 999, 1]) {
      clock.advance(ms)
      connection.lend()
      connection.rest()
      seen.push(connection.lastUsed - opened)
    }
    assert.deepEqual(seen, [0, 0, 0, 1000, 1000, 2000])
    connection.terminate()
    await closed
  })

  test('is told in whole milliseconds', () => {
    assert.ok(Number.isInteger(systemClock.now()))
  })
})
