/**
 * What the check costs, on the loopback in one run: a new connection by the dialer against bare `net.connect` to the same name,
 * the check alone, and how many look-ups and dials a thousand requests on a kept connection make.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { once } from 'node:events'
import { Pool } from 'undici'
import { Bench } from 'tinybench'
import { bench, tell } from '../../test/bench.ts'
import { isPermitted, kindOf } from './addresses.ts'
import { dialer } from './dial.ts'

await newConnections()
await theCheck()
await keptConnections()

async function newConnections(): Promise<void> {
  const server = createServer((socket) => void socket.on('error', () => {}).resume())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on one
  const resolve = (_name: string, done: (error: null, found: readonly string[]) => void) => done(null, ['127.0.0.1'])
  const dial = dialer(new URL(`http://api.test:${port}`), { timeout: 5000, allowsPrivate: true, resolve })
  const runs = new Bench({ time: 1500, warmupTime: 300 })
  runs.add('net.connect', () =>
    opened((done) =>
      connect({ port, host: '127.0.0.1' }, function (this: Socket) {
        done(this)
      }),
    ),
  )
  runs.add('the dialer', () => opened((done) => dial((_error, socket) => done(socket!))))
  await runs.run()
  process.stdout.write('\na new connection, opened and closed\n')
  const [bare, ours] = runs.tasks.map(({ result }) =>
    result.state === 'completed' ? result.latency.p50 * 1000 : Number.NaN,
  )
  process.stdout.write(
    `  net.connect ${bare!.toFixed(1)} µs, the dialer ${ours!.toFixed(1)} µs, ${(ours! / bare!).toFixed(2)} x\n`,
  )
  tell({ what: 'a new connection', way: 'the dialer', ratio: ours! / bare!, bound: { atMost: 1.5 } })
  server.close()
}

async function opened(open: (done: (socket: Socket) => void) => void): Promise<void> {
  const socket = await new Promise<Socket>(open)
  socket.resetAndDestroy()
}

/** The rival is what it replaces: nothing. */
async function theCheck(): Promise<void> {
  await bench('the kind of an address', {
    'IPv4, public': () => isPermitted(kindOf('104.18.6.192'), false),
    'IPv6, public': () => isPermitted(kindOf('2606:4700::6812:7c0'), false),
    'IPv6, mapped': () => isPermitted(kindOf('::ffff:169.254.169.254'), true),
  })
}

async function keptConnections(): Promise<void> {
  const server = createHttpServer((_request, response) => response.end('{}'))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // it listens on one
  let lookups = 0
  let dials = 0
  const origin = new URL(`http://api.test:${port}`)
  const dial = dialer(origin, {
    timeout: 5000,
    allowsPrivate: true,
    resolve(_name, done) {
      lookups++
      done(null, ['127.0.0.1'])
    },
  })
  const pool = new Pool(origin, {
    connections: 1,
    connect(_options, done) {
      dials++
      dial((...told) => done(...(told as Parameters<typeof done>))) // one of them is null
    },
  })
  for (let times = 0; times < 1000; times++) await (await pool.request({ method: 'GET', path: '/' })).body.dump()
  process.stdout.write(`\n1000 requests on a kept connection: ${lookups} look-up, ${dials} dial\n`)
  await pool.destroy()
  server.close()
}
