/**
 * The gateway's own client against undici's dispatcher and node:http with an agent: CPU of this process per exchange, in turns in one run. The
 * upstream is a process of its own. `node core/upstream/http1.bench.ts [--rounds 9] [--requests 3000]`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { tell } from '../../test/bench.ts'
import type { HttpClient, Receiver, Sending } from './client.ts'
import { Http1Pool } from './http1-pool.ts'
import { dialer } from './dial.ts'
import { loadUndici, UndiciClient } from './undici-client.ts'

const atOnce = 32
const timeouts = { connect: 10_000, headers: 600_000, idle: 180_000 }

/** As fast as Node can: a kilobyte of JSON, or fifty events, a write for each. */
function serve(): void {
  const body = JSON.stringify({ id: 'chatcmpl-bench', content: 'y'.repeat(990) })
  const event = `data: ${JSON.stringify({ delta: 'z'.repeat(97) })}\n\n`
  const server = createServer((asked, response) => {
    asked.resume()
    asked.on('end', () => {
      if (asked.url !== '/events') {
        response.writeHead(200, {
          'content-type': 'application/json',
          'content-length': body.length,
          'x-request-id': 'r',
        })
        return void response.end(body)
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      let left = 50
      const next = (): void => {
        if (left-- === 0) return void response.end()
        response.write(event)
        setImmediate(next)
      }
      next()
    })
  })
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port })) // TCP
  process.on('disconnect', () => process.exit())
}

async function compare(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '9' }, requests: { type: 'string', default: '3000' } },
  })
  const child = fork(import.meta.filename)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }] // its first word
  const origin = new URL(`http://127.0.0.1:${port}`)
  await loadUndici()
  const clients: Record<string, HttpClient> = {
    lean: new Http1Pool({
      host: origin.host,
      dial: dialer(origin, { timeout: timeouts.connect, allowsPrivate: true }),
      timeouts,
    }),
    'undici dispatch': new UndiciClient(
      origin,
      timeouts,
      dialer(origin, { timeout: timeouts.connect, allowsPrivate: true }),
    ),
    'node:http, agent': new NodeClient(origin),
  }
  const works: Record<string, [path: string, body: number, share: number]> = {
    '2 KB up, 1 KB down': ['/json', 2048, 1],
    '100 KB up, 1 KB down': ['/json', 102_400, 0.3],
    'SSE, 50 events of 120 B': ['/events', 2048, 0.1],
  }
  for (const [what, [path, size, share]] of Object.entries(works)) {
    const times = Math.round(Number(values.requests) * share)
    const body = Buffer.alloc(size, 0x78)
    const rounds: Record<string, number[]> = {}
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const [name, client] of Object.entries(clients)) {
        const cpu = await cost(client, { method: 'POST', path, headers: { ...headers }, body }, times)
        // The first one is for V8 to warm up.
        if (round > 0) (rounds[name] ??= []).push(cpu)
      }
    }
    print(what, rounds)
  }
  await Promise.all(Object.values(clients).map((client) => client.close()))
  child.disconnect()
}

const headers = {
  accept: 'application/json',
  'accept-encoding': 'gzip, deflate',
  authorization: 'Bearer sk-0123456789012345678901234567890123456789',
  'content-type': 'application/json',
  'user-agent': 'OpenAI/JS 7.55.0',
  'x-stainless-arch': 'x64',
  'x-stainless-lang': 'js',
  'x-stainless-os': 'Linux',
  'x-stainless-package-version': '7.55.0',
  'x-stainless-retry-count': '0',
  'x-stainless-runtime': 'node',
}

/** CPU time per exchange, in µs. */
async function cost(client: HttpClient, sending: Sending, times: number): Promise<number> {
  let begun = 0
  const before = process.cpuUsage()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (begun++ < times) await heard(client, sending)
    }),
  )
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

function heard(client: HttpClient, sending: Sending): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    const receiver: Receiver = {
      onFlow() {},
      onHead() {},
      onData: (chunk) => (bytes += chunk.length) > 0,
      onComplete: () => (bytes > 1000 ? resolve() : reject(new Error(`${bytes} bytes`))),
      onError: reject,
    }
    client.send(sending, receiver)
  })
}

/** The usual way: an agent that keeps connections, and streams. */
class NodeClient implements HttpClient {
  readonly #origin: URL
  readonly #agent = new Agent({ keepAlive: true })

  constructor(origin: URL) {
    this.#origin = origin
  }

  send({ method, path, headers, body }: Sending, receiver: Receiver): void {
    const { hostname: host, port } = this.#origin
    const length = { 'content-length': String((body as Buffer).length) } // all bodies here are Buffers
    const asking = request(
      { agent: this.#agent, host, port, method, path, headers: { ...headers, ...length } },
      (answer) => {
        receiver.onHead(answer.statusCode ?? 0, answer.headers)
        answer.on('data', (chunk: Buffer) => receiver.onData(chunk))
        answer.on('end', () => receiver.onComplete())
      },
    )
    asking.on('error', (error) => receiver.onError(error))
    asking.end(body)
  }

  async close(): Promise<void> {
    this.#agent.destroy()
  }
}

function print(what: string, rounds: Readonly<Record<string, number[]>>): void {
  const own = rounds.lean!
  process.stdout.write(`\n${what}, median of ${own.length} rounds, ${atOnce} at once\n`)
  for (const [name, list] of Object.entries(rounds)) {
    const ratio = median(list.map((cpu, at) => cpu / own[at]!))
    if (name !== 'lean') tell({ what, way: name, ratio, bound: { atLeast: 1 } })
    process.stdout.write(
      `  ${name.padEnd(20)} ${median(list).toFixed(0).padStart(6)} µs CPU  ${ratio.toFixed(2).padStart(6)} x\n`,
    )
  }
}

function median(list: readonly number[]): number {
  return list.toSorted((one, other) => one - other)[Math.floor(list.length / 2)] ?? 0
}

if (process.send) serve()
else await compare()
