/**
 * Requests by HTTP, asked over an upstream's WebSocket, against the same requests asked by HTTP. Each gateway is a process of its
 * own; what is told is its CPU per request, from rounds in which they take turns.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { tell } from '../test/bench.ts'
import { gateway } from '../test/harness.ts'

const rounds = 15
const requestsPerRound = 60

const delta = JSON.stringify({ type: 'response.output_text.delta', item_id: 'msg_1', delta: 'x'.repeat(150) })
const response = { id: 'resp_1', object: 'response', status: 'completed', output: [], usage: { input_tokens: 1 } }
const last = JSON.stringify({ type: 'response.completed', response })
const events: readonly string[] = [...Array.from({ length: 99 }, () => delta), last]
const body = { model: 'm', input: 'x'.repeat(2000) }

/** A child: a gateway, until its parent is gone; tells the CPU time it has used when it is asked. */
async function serve(framing: string, upstream: string): Promise<void> {
  const websocket = framing === 'always' ? 'always' : false
  const { url } = await gateway({
    plugins: ['openai', 'failover'],
    log: { level: 'error' },
    upstreams: [{ name: 'o', provider: 'openai', url: upstream, key: 'k', websocket }],
  })
  process.on('message', () => process.send!(process.cpuUsage()))
  process.on('disconnect', () => process.exit())
  process.send!(url)
}

async function compare(): Promise<void> {
  const server = createServer((asked, answer) => {
    let sent = ''
    asked.on('data', (chunk: Buffer) => (sent += chunk.toString('latin1')))
    asked.on('end', () => (sent.includes('"stream":true') ? streamTo(answer) : documentTo(answer)))
  })
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) =>
    socket.on('message', () => events.forEach((event) => socket.send(event))),
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}` // it listens on a port
  const children = await Promise.all(
    ['by HTTP', 'always'].map(async (name) => {
      const child = fork(import.meta.filename, [name, upstream])
      const [url] = (await once(child, 'message')) as [string] // what `serve` sends first
      return { name, child, url }
    }),
  )
  for (const stream of [true, false]) {
    const told = new Map<string, number[]>(children.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds; round++)
      for (const { name, child, url } of children) {
        const one = await perRequest(child, url, stream)
        if (round > 1) told.get(name)!.push(one)
      }
    process.stdout.write(`\n${stream ? 'a stream of 100 events of 200 bytes' : 'a document'}, CPU per request\n`)
    const base = median(told.get('by HTTP')!)
    for (const [name, all] of told) {
      const micro = median(all)
      if (name === 'always')
        tell({
          what: stream ? 'a stream as a turn' : 'a document as a turn',
          way: name,
          ratio: micro / base,
          bound: { atMost: 3.5 },
        })
      process.stdout.write(`  ${name.padEnd(10)} ${micro.toFixed(0).padStart(7)} µs  ${(micro / base).toFixed(2)} x\n`)
    }
  }
  for (const { child } of children) child.disconnect()
  server.close()
  server.closeAllConnections()
}

/** An event at a time, as an API writes them. */
function streamTo(answer: ServerResponse): void {
  answer.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) answer.write(`event: response.output_text.delta\ndata: ${event}\n\n`)
  answer.end()
}

function documentTo(answer: ServerResponse): void {
  answer.writeHead(200, { 'content-type': 'application/json' })
  answer.end(JSON.stringify(response))
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 })

/** Microseconds of the child's CPU for each of a round's requests, four at a time. */
async function perRequest(child: ChildProcess, url: string, stream: boolean): Promise<number> {
  const text = JSON.stringify({ ...body, stream })
  const headers = { 'content-type': 'application/json', 'content-length': text.length }
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const asking = request(`${url}/v1/responses`, { method: 'POST', agent, headers }, (answer) => {
        answer.resume().on('end', resolve)
      })
      asking.on('error', reject).end(text)
    })
  const before = await cpu(child)
  for (let at = 0; at < requestsPerRound; at += 4) await Promise.all([one(), one(), one(), one()])
  return ((await cpu(child)) - before) / requestsPerRound
}

async function cpu(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage] // as `serve` answers
  return user + system
}

function median(all: readonly number[]): number {
  return all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)]!
}

const [, , framing, target] = process.argv
if (framing && target) await serve(framing, target)
else {
  await compare()
  agent.destroy()
}
