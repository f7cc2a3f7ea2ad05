/**
 * Who accepts a connection: the supervisor, which hands it to a worker that is free (node:cluster's round robin, what is used), the workers
 * themselves on one socket, or each on a socket of its own (SO_REUSEPORT), between which the kernel chooses. Opens connections that are
 * kept, as SDKs and streams do, and prints how many each of four workers has of them, and what a connection costs.
 */
import cluster from 'node:cluster'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'

const ways = {
  'round robin': cluster.SCHED_RR,
  'one socket': cluster.SCHED_NONE,
  SO_REUSEPORT: cluster.SCHED_NONE,
} as const
type Way = keyof typeof ways
const names = Object.keys(ways) as Way[] // its keys, as they stand there
const workers = 4
const rounds = 5

const { WAY: asked } = process.env
const way = names.find((name) => name === asked)
// node:cluster keeps to the policy of its first worker: each way has a process of its own.
if (way === undefined)
  for (const WAY of names)
    spawnSync(process.execPath, [import.meta.filename], { env: { ...process.env, WAY }, stdio: 'inherit' })
else if (cluster.isPrimary) await compare(way)
else serve(way, Number(process.env.PORT))

function serve(way: Way, port: number): void {
  const server = createServer((_request, response) => {
    // About what an exchange costs: 0.1 ms.
    const until = performance.now() + 0.1
    while (performance.now() < until);
    response.end(String(cluster.worker?.id))
  })
  server.listen({ port, host: '127.0.0.1', reusePort: way === 'SO_REUSEPORT' }, () =>
    process.send?.((server.address() as AddressInfo).port),
  ) // TCP
}

async function compare(way: Way): Promise<void> {
  cluster.schedulingPolicy = ways[way]
  const started = []
  let port = 0
  for (let at = 0; at < workers; at++) {
    const worker = cluster.fork({ WAY: way, PORT: String(port) })
    started.push(worker)
    const [told] = (await once(worker, 'message')) as [number] // its port
    // Workers on sockets of their own have the same port because they are told.
    if (way === 'SO_REUSEPORT') port = told
    else port = at === workers - 1 ? told : 0
  }
  for (const connections of [8, 32, 128]) {
    const spreads: string[] = []
    const most: number[] = []
    for (let round = 0; round < rounds; round++) {
      const shares = await spread(port, connections)
      spreads.push(shares.join('/'))
      most.push((Math.max(...shares) * workers) / connections)
    }
    const worst = Math.max(...most).toFixed(2)
    console.log(`${way}, ${connections} kept connections: ${spreads.join('  ')}; the fullest has ${worst} of its share`)
  }
  const began = performance.now()
  for (let at = 0; at < 1000; at++) await ask(port, new Agent({ keepAlive: false }))
  console.log(`${way}, a new connection and one request: ${Math.round(performance.now() - began)} µs`)
  for (const worker of started) worker.process.kill()
}

/** Opens them at the same time; how many each worker has. */
async function spread(port: number, connections: number): Promise<number[]> {
  const agents = Array.from({ length: connections }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  const shares = Map.groupBy(await Promise.all(agents.map((agent) => ask(port, agent))), (id) => id)
  for (const agent of agents) agent.destroy()
  const counts = [...shares.values()].map(({ length }) => length)
  return [...counts, ...Array<number>(workers - counts.length).fill(0)].toSorted((one, other) => other - one)
}

/** Which worker has answered. */
function ask(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = get({ port, host: '127.0.0.1', agent }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece))
      answer.on('end', () => resolve(text))
    })
    asking.on('error', reject)
  })
}
