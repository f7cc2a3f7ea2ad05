/**
 * Messages through the gateway against the least that can pass them on: a relay of two `ws` sockets, and http-proxy-3's raw splice.
 * Each relay is a process of its own; what is told is its CPU per message, from rounds in which they take turns.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { tell } from '../test/bench.ts'
import { relays as others } from '../test/bench/e2e/ws-relays.ts'
import { wsUpstream } from '../test/conformance/websocket-upstream.ts'
import { gateway } from '../test/harness.ts'

const rounds = 15
const roundMs = 300
/** Of Postern, as a multiple of the bare relay. */
const bounds = { session: { atMost: 1.3 }, turns: { atMost: 1.5 } } as const
const path = { session: '/v1/realtime', turns: '/v1/responses' }

/** A child: relays until its parent is gone, and tells the CPU time it has used when it is asked. */
async function serve(kind: string, upstream: string): Promise<void> {
  const url = await relays[kind]!(upstream)
  process.on('message', () => process.send!(process.cpuUsage()))
  process.on('disconnect', () => process.exit())
  process.send!(url)
}

const relays: typeof others = {
  ...others,
  async postern(upstream) {
    const { url } = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.replace('ws', 'http'), key: 'k' }],
    })
    return url.replace('http', 'ws')
  },
}

async function compare(): Promise<void> {
  const delta = JSON.stringify({ type: 'response.output_text.delta', item_id: 'msg_1', delta: 'x'.repeat(150) })
  const last = JSON.stringify({ type: 'response.completed', response: { id: 'resp_1', usage: { input_tokens: 1 } } })
  await using upstream = await wsUpstream({
    onSocket: (socket) =>
      void socket.on('message', () => {
        for (let at = 0; at < 99; at++) socket.send(delta)
        socket.send(last)
      }),
  })
  const address = `ws://${upstream.url.host}`
  const children = await Promise.all(
    Object.keys(relays).map(async (name) => {
      const child = fork(import.meta.filename, [name, address])
      const [url] = (await once(child, 'message')) as [string] // what `serve` sends first
      return { name, child, url }
    }),
  )
  for (const what of ['session', 'turns'] as const) {
    const at = path[what]
    const told = new Map<string, number[]>(children.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const { name, child, url } of children) {
        const one = await perMessage(child, url + at)
        if (round > 1) told.get(name)!.push(one)
      }
    }
    process.stdout.write(`\n${what}: 100 events of 200 bytes for each request, CPU per message\n`)
    const base = median(told.get('bare ws relay')!)
    for (const [name, all] of told) {
      const micro = median(all)
      if (name === 'postern') tell({ what: `messages: ${what}`, way: name, ratio: micro / base, bound: bounds[what] })
      process.stdout.write(`  ${name.padEnd(24)} ${micro.toFixed(2).padStart(7)} µs  ${(micro / base).toFixed(2)} x\n`)
    }
  }
  for (const { child } of children) child.disconnect()
}

/** Microseconds of the child's CPU for each message that reached the client, over one round of request after request. */
async function perMessage(child: ChildProcess, url: string): Promise<number> {
  const ws = new WebSocket(url, { perMessageDeflate: false })
  await once(ws, 'open')
  const request = JSON.stringify({ type: 'response.create', model: 'm', input: 'x'.repeat(500) })
  let messages = 0
  let isOver = false
  const before = await cpu(child)
  const ends = performance.now() + roundMs
  await new Promise<void>((resolve) => {
    ws.on('message', (data: Buffer) => {
      messages++
      if (!data.includes('response.completed')) return
      isOver = performance.now() > ends
      if (isOver) resolve()
      else ws.send(request)
    })
    ws.send(request)
  })
  const used = (await cpu(child)) - before
  ws.terminate()
  return used / messages
}

async function cpu(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage] // as `serve` answers
  return user + system
}

function median(all: readonly number[]): number {
  return all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)]!
}

const [, , relay, target] = process.argv
if (relay && target) await serve(relay, target)
else await compare()
