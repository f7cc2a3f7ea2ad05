/** The second listener: is it alive, is it ready, and what does it run. Never on the public address. */
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { render } from './config/problems.ts'
import { settingsOf } from './commands/gates.ts'
import { flushPrefix } from './commands/sticky.ts'
import { evaluateGates, readGateHistory } from './gates.ts'
import { metricsContentType } from './observe/metrics.ts'
import type { Sidecar } from './sidecar.ts'
import { listen } from './server.ts'

/** What a path answers; `body` of a POST is not read: what it needs stands in the query. */
type Page = (sidecar: Sidecar, query: URLSearchParams) => Told | Promise<Told>

const pages: Readonly<Record<string, Page>> = {
  'GET /healthz': health,
  'GET /readyz': readiness,
  'GET /metrics': (sidecar) => [200, sidecar.metrics()],
  'GET /gates': gates,
  'POST /sticky/flush': flush,
}

/** Opens the admin listener. `/healthz` says what runs, `/readyz` whether traffic should come. */
export async function openAdmin(sidecar: Sidecar, address: string): Promise<{ url: string; http: HttpServer }> {
  const http = createServer((request, response) => {
    void answer(sidecar, request).then(([status, body]) => {
      const text = typeof body === 'string' ? body : `${JSON.stringify(body, null, 2)}\n`
      response.writeHead(status, {
        'content-type': typeof body === 'string' ? metricsContentType : 'application/json',
        'content-length': Buffer.byteLength(text),
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      })
      response.end(request.method === 'HEAD' ? undefined : text)
    })
  })
  return { url: await listen(http, address), http }
}

async function answer(sidecar: Sidecar, { method = 'GET', url = '' }: IncomingMessage): Promise<Told> {
  const [path = '', query = ''] = url.split('?', 2)
  const page = pages[`${method === 'HEAD' ? 'GET' : method} ${path}`]
  if (!page) return [404, { error: `nothing at ${method} ${path}: there are ${Object.keys(pages).join(', ')}` }]
  try {
    return await page(sidecar, new URLSearchParams(query))
  } catch (error) {
    return [503, { error: error instanceof Error ? error.message : String(error) }]
  }
}

/** A text is what Prometheus reads. */
type Told = [status: number, body: object | string]

/** 200 as long as the process can answer: a refused configuration does not make a sidecar unhealthy, it is only told. */
function health({ server, retiring, lastProblem, startedAt }: Sidecar): Told {
  const { config, exchanges, builtAt } = server.gateway
  return [
    200,
    {
      status: 'ok',
      configuration: {
        file: config.file,
        version: config.version,
        loaded_at: new Date(builtAt).toISOString(),
        age_s: Math.round((Date.now() - builtAt) / 1000),
        notes: config.notes,
      },
      last_problem: lastProblem && {
        at: new Date(lastProblem.at).toISOString(),
        problems: lastProblem.problems.map((problem) => ({ ...problem, text: render(problem) })),
      },
      exchanges: exchanges.length,
      retiring: [...retiring].map((gateway) => ({
        version: gateway.config.version,
        exchanges: gateway.exchanges.length,
      })),
      uptime_s: Math.round((Date.now() - startedAt) / 1000),
    },
  ]
}

/** Whether traffic should come. A store or a database that is away is told, and stops nothing that can do without. */
function readiness({ server }: Sidecar): Told {
  const { store, database } = server.gateway.backing
  const parts = {
    store: store.health.isUp
      ? { kind: store.kind, state: 'up' }
      : { kind: store.kind, state: 'down', error: store.health.lastError },
    database: database && { kind: database.kind, state: database.state, error: database.lastError?.message ?? null },
  }
  return server.isDraining ? [503, { status: 'draining', ...parts }] : [200, { status: 'ready', ...parts }]
}

/** What each compatibility switch's gate says. */
async function gates({ server }: Sidecar): Promise<Told> {
  const { backing, config } = server.gateway
  const history = await readGateHistory(backing.store)
  return [200, { gates: evaluateGates(history, { settings: settingsOf(config) }) }]
}

/** Lets sessions go: all of them, those of `tenant`, or one `session`. */
async function flush({ server }: Sidecar, query: URLSearchParams): Promise<Told> {
  const asked = { tenant: query.get('tenant') ?? undefined, session: query.get('session') ?? undefined }
  return [200, { flushed: await server.gateway.backing.store.deletePrefix(flushPrefix(asked)) }]
}
