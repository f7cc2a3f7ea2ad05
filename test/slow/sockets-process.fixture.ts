/** The far sides of `sockets.slow.ts`, each in a process of its own: `gateway URL…`, or `upstream SEED`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { responsesUpstream, type Turn } from '../e2e/websocket-client.fixture.ts'
import { gateway, type LogRecord } from '../harness.ts'
import { randomFrom } from './moody.fixture.ts'

/** What a gateway's process says of itself, after two full collections. Sizes in bytes. */
export interface Look {
  readonly heap: number
  readonly rss: number
  /** Sockets and timers. */
  readonly handles: number
  readonly exchanges: number
  /** Slots that are taken. */
  readonly slots: number
  /** In the text format of Prometheus. */
  readonly metrics: string
}

/** Every event says whose it is. Of a hundred turns four are cut off, two closed, and six told of an error. */
export function faulty(chance: () => number): Turn {
  return (say, { input }, socket) => {
    const fault = chance()
    const told = { token: input }
    if (fault < 0.02) return socket.terminate()
    say({ type: 'response.created', response: { id: 'resp_1' }, ...told })
    if (fault < 0.05) return say({ type: 'response.failed', response: { error: { code: 'slow_down' } }, ...told })
    if (fault < 0.08) return say({ type: 'error', status: 400, error: { code: 'invalid_prompt' }, ...told })
    const deltas = 2 + Math.floor(chance() * 3)
    const next = (at: number): void => {
      if (at === deltas) return say({ type: 'response.completed', response: {}, deltas, ...told })
      if (at === 1 && fault < 0.1) return socket.close(1011)
      if (at === 1 && fault < 0.12) return socket.terminate()
      say({ type: 'response.output_text.delta', at, delta: 'x'.repeat(100), ...told })
      setImmediate(next, at + 1)
    }
    next(0)
  }
}

async function serveUpstream(seed: number): Promise<void> {
  const { url } = await responsesUpstream(faulty(randomFrom(seed)))
  process.send!(`http://${url.host}`)
}

async function serveGateway(upstreams: readonly string[]): Promise<void> {
  const names = upstreams.map((_, at) => `u${at}`)
  const gw = await gateway({
    // Without sticky-session: it remembers each conversation for an hour, as it should.
    plugins: ['openai', 'failover', { concurrency: { per_client: 5000 } }],
    upstreams: upstreams.map((url, at) => ({ name: names[at], provider: 'openai', url, key: 'k', slots: 2000 })),
    websocket: { pool: { max: 600, max_idle: 600, queue: 5000 } },
    timeouts: { connect: '30s' },
  })
  const look = async (): Promise<Look> => {
    // The harness keeps every line of the log, which no gateway does.
    ;(gw.records as LogRecord[]).length = 0 // its own array
    for (let times = 0; times < 2; times++) {
      await sleep(50)
      globalThis.gc!()
    }
    const { heapUsed: heap, rss } = process.memoryUsage()
    const handles = process
      .getActiveResourcesInfo()
      .filter((kind) => /TCPSocketWrap|TCPServerWrap|Timeout/.test(kind)).length
    const { server, retiring } = gw.sidecar
    const taken = await server.gateway.backing.store.count([
      ...names.map((name) => `slots:upstream:${name}`),
      'slots:client:127.0.0.1',
    ])
    return {
      heap,
      rss,
      handles,
      exchanges: server.gateway.exchanges.length + retiring.size,
      slots: (taken ?? []).reduce((sum, one) => sum + one, 0),
      metrics: gw.sidecar.metrics(),
    }
  }
  process.on('message', () => void look().then((told) => process.send!(told)))
  process.send!(gw.url)
}

const [, , role, ...given] = process.argv
process.on('disconnect', () => process.exit())
if (role === 'gateway') await serveGateway(given)
else if (role === 'upstream') await serveUpstream(Number(given[0]))
