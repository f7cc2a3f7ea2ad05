import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { until } from '../../test/conformance/websocket-upstream.ts'
import { nameServer } from '../../test/dns-server.ts'
import { dialer, saysItself, type Dial, type DialOptions } from './dial.ts'
import type { Resolve } from './lookup.ts'

/** A server on the loopback that counts who came and says a word. */
async function listener(host = '127.0.0.1', port = 0): Promise<Server & { came: number } & AsyncDisposable> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    counted.came++
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.write('hello')
  })
  const counted = Object.assign(server, {
    came: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  server.listen(port, host)
  await once(server, 'listening')
  return counted
}

const portOf = (server: Server) => (server.address() as AddressInfo).port // it listens on a port

/** Dials, and lets go again: the address that was reached, or the error. */
async function reached(dial: Dial): Promise<string> {
  const socket = await connected(dial)
  const { remoteAddress = '' } = socket
  socket.destroy()
  return remoteAddress
}

function connected(dial: Dial): Promise<Socket> {
  return new Promise((resolve, reject) => {
    dial((error, socket) => (error ? reject(error) : resolve(socket!)))
  })
}

const open = (url: string, options: Partial<DialOptions> = {}) =>
  dialer(new URL(url), { timeout: 2000, allowsPrivate: false, ...options })

const says =
  (...addresses: string[]): Resolve =>
  (_name, done) =>
    done(null, addresses)

describe('a name', () => {
  test('is dialled at the address that was checked, without another look at the name', async () => {
    await using server = await listener()
    let turn = 0
    // The rebinding attack: harmless when it is checked, the metadata service when it is dialled.
    await using names = await nameServer(() => (turn++ < 2 ? ['127.0.0.1'] : ['169.254.169.254']))
    const dial = open(`http://api.test:${portOf(server)}`, { allowsPrivate: true, resolve: names.resolve })
    assert.equal(await reached(dial), '127.0.0.1')
    assert.deepEqual(names.asked, ['api.test', 'api.test'], 'once per family')
    assert.equal(await reached(dial), '127.0.0.1', 'what was checked is remembered')
    assert.equal(names.asked.length, 2)
  })

  for (const [addresses, what] of [
    [['127.0.0.1'], 'loopback'],
    [['10.1.2.3'], 'private'],
    [['1.1.1.1', '192.168.0.1'], 'private'],
    [['2606:4700:4700::1111', 'fd12::1'], 'unique-local'],
    [['1.1.1.1', '::ffff:127.0.0.1'], 'loopback (mapped)'],
    [['64:ff9b::7f00:1'], 'loopback (NAT64)'],
  ] as const) {
    test(`that leads to ${addresses.join(' and ')} is not dialled without permission`, async () => {
      await using names = await nameServer(() => addresses)
      await assert.rejects(reached(open('http://api.test', { resolve: names.resolve })), (error: Error) => {
        assert.equal('code' in error && error.code, 'UPSTREAM_ADDRESS')
        assert.ok(error.message.includes(`which is ${what}: `), error.message)
        assert.match(error.message, /^api\.test leads to .*allow_private: true$/)
        return true
      })
    })
  }

  for (const address of ['169.254.169.254', '100.100.100.200', 'fe80::1', 'fd00:ec2::254', '::', '224.0.0.1']) {
    test(`that leads to ${address} is not dialled, whatever is permitted`, async () => {
      await using names = await nameServer(() => ['127.0.0.1', address])
      const dial = open('http://api.test', { allowsPrivate: true, resolve: names.resolve })
      await assert.rejects(reached(dial), {
        code: 'UPSTREAM_ADDRESS',
        message: /no upstream may have such an address$/,
      })
    })
  }

  test('that led astray is asked for again at once, and dialled when it leads where it should', async () => {
    await using server = await listener()
    await using names = await nameServer(() => ['169.254.169.254'])
    const dial = open(`http://api.test:${portOf(server)}`, { allowsPrivate: true, resolve: names.resolve })
    await assert.rejects(reached(dial), { code: 'UPSTREAM_ADDRESS' })
    names.zone = () => ['127.0.0.1']
    assert.equal(await reached(dial), '127.0.0.1')
  })

  test('whose remembered address refuses connections is asked for again', async () => {
    await using gone = await listener('127.0.0.1')
    const port = portOf(gone)
    await gone[Symbol.asyncDispose]()
    let asked = 0
    const resolve: Resolve = (_name, done) => done(null, [`127.0.0.${++asked}`])
    const dial = open(`http://api.test:${port}`, { allowsPrivate: true, resolve })
    await assert.rejects(reached(dial), { code: 'ECONNREFUSED' })
    await using server = await listener('127.0.0.2', port)
    assert.equal(await reached(dial), '127.0.0.2')
    assert.equal(server.came, 1)
  })

  test('that is unknown, or that nobody answers for, is the error of the resolver', async () => {
    await using names = await nameServer((name) => (name === 'slow.test' ? 'silence' : []))
    await assert.rejects(reached(open('http://none.test', { resolve: names.resolve })), { code: 'ENOTFOUND' })
    await assert.rejects(reached(open('http://slow.test', { resolve: names.resolve })), { code: 'ETIMEOUT' })
    await assert.rejects(reached(open('http://empty.test', { resolve: says() })), { code: 'ENOTFOUND' })
  })

  test('that takes too long is given up in time', async () => {
    const dial = open('http://api.test', { timeout: 30, resolve: () => {} })
    await assert.rejects(reached(dial), { code: 'CONNECT_TIMEOUT', message: 'no connection to api.test within 30 ms' })
  })

  test('with several addresses is dialled at the one that answers', async () => {
    await using server = await listener('127.0.0.3')
    const resolve = says('127.0.0.4', '::1', '127.0.0.3')
    const dial = open(`http://api.test:${portOf(server)}`, { allowsPrivate: true, resolve })
    assert.equal(await reached(dial), '127.0.0.3')
    await server[Symbol.asyncDispose]()
    await assert.rejects(reached(dial), { code: 'ECONNREFUSED' })
  })

  test('is looked up once for many connections that are wanted at the same time', async () => {
    await using server = await listener()
    const waiting: (() => void)[] = []
    const resolve: Resolve = (_name, done) => void waiting.push(() => done(null, ['127.0.0.1']))
    const dial = open(`http://api.test:${portOf(server)}`, { allowsPrivate: true, resolve })
    const all = Array.from({ length: 20 }, () => reached(dial))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(waiting.length, 1)
    waiting[0]!()
    await Promise.all(all)
    await until(() => server.came === 20)
  })
})

describe('an address that is written in the url', () => {
  test('is dialled as it is, by permission where it is not public', async () => {
    await using server = await listener()
    const url = `http://127.0.0.1:${portOf(server)}`
    const resolve: Resolve = () => assert.fail('nothing has to be looked up')
    assert.equal(await reached(open(url, { allowsPrivate: true, resolve })), '127.0.0.1')
    await assert.rejects(reached(open(url, { resolve })), { code: 'UPSTREAM_ADDRESS' })
    await assert.rejects(reached(open('http://169.254.169.254', { allowsPrivate: true, resolve })), {
      code: 'UPSTREAM_ADDRESS',
    })
  })

  for (const host of ['0x7f.1', '127.1', '2130706433', '0177.0.0.1', '127.0.0.1.', '[::ffff:127.0.0.1]', '[::1]']) {
    test(`${host} is what it stands for`, async () => {
      await assert.rejects(reached(open(`http://${host}:9`)), { code: 'UPSTREAM_ADDRESS', message: /loopback/ })
    })
  }

  test('may be IPv6', async () => {
    await using server = await listener('::1')
    assert.equal(await reached(open(`http://[::1]:${portOf(server)}`, { allowsPrivate: true })), '::1')
  })
})

describe('localhost', () => {
  test('is this machine in both families, whatever a resolver would say', async () => {
    const resolve: Resolve = () => assert.fail('nobody is asked')
    for (const host of ['127.0.0.1', '::1']) {
      await using server = await listener(host)
      for (const name of ['localhost', 'postern.localhost', 'LOCALHOST.']) {
        const dial = open(`http://${name}:${portOf(server)}`, { allowsPrivate: true, resolve })
        assert.equal(await reached(dial), host)
      }
    }
    await assert.rejects(reached(open('http://localhost', { resolve })), { code: 'UPSTREAM_ADDRESS' })
  })

  test('and addresses say themselves where they are; no other name does', () => {
    for (const url of ['http://localhost', 'http://a.localhost', 'http://127.1', 'ws://[::1]:80', 'https://10.0.0.1/x'])
      assert.equal(saysItself(new URL(url)), true, url)
    for (const url of ['http://local', 'http://localhost.evil.test', 'http://mylocalhost', 'http://10.0.0.1.nip.io'])
      assert.equal(saysItself(new URL(url)), false, url)
  })
})

describe('a dial that is given up', () => {
  test('never calls back, and leaves nothing open', async () => {
    await using server = await listener()
    let late: (() => void) | null = null
    const resolve: Resolve = (_name, done) => (late = () => done(null, ['127.0.0.1']))
    const dial = open(`http://api.test:${portOf(server)}`, { allowsPrivate: true, resolve })
    const fail = () => assert.fail('it was given up')
    dial(fail)()
    assert.equal(late, null, 'before it had begun')
    const giveUp = dial(fail)
    await new Promise((resolve) => setImmediate(resolve))
    giveUp()
    late!()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(server.came, 0, 'while the name was looked up')
    const ready = open(`http://127.0.0.1:${portOf(server)}`, { allowsPrivate: true })
    const stop = ready(fail)
    await new Promise((resolve) => process.nextTick(resolve))
    stop()
    stop()
    // Whoever comes next is the only one that stays.
    const socket = await connected(ready)
    assert.equal(await new Promise((resolve) => server.getConnections((_error, count) => resolve(count))), 1)
    socket.destroy()
  })

  test('is told nothing before it has returned', async () => {
    let returned = false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    open('http://127.0.0.1')(() => resolve(returned))
    returned = true
    assert.equal(await promise, true)
  })
})

test('a socket that breaks before anybody listens to it breaks nothing else', async () => {
  await using server = await listener()
  const socket = await connected(open(`http://127.0.0.1:${portOf(server)}`, { allowsPrivate: true }))
  socket.destroy(new Error('nobody hears this'))
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
})

test('the time for a connection holds where nobody accepts it either', async () => {
  // TEST-NET-1 has nobody in it: the packet is lost, or refused by a network that has no way there.
  const dial = open('http://192.0.2.1', { allowsPrivate: true, timeout: 50 })
  await assert.rejects(reached(dial), (error: NodeJS.ErrnoException) =>
    /CONNECT_TIMEOUT|EHOSTUNREACH|ENETUNREACH|ECONNREFUSED/.test(error.code ?? ''),
  )
})
