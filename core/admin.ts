/** The second listener: is it alive, is it ready, and what does it run. Never on the public address. */
import { createServer, type Server as HttpServer } from 'node:http'
import { render } from './config/problems.ts'
import type { Sidecar } from './sidecar.ts'
import { listen } from './server.ts'

/** Opens the admin listener. `/healthz` says what runs, `/readyz` whether traffic should come. */
export async function openAdmin(sidecar: Sidecar, address: string): Promise<{ url: string; http: HttpServer }> {
  const http = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]
    const answer = path === '/healthz' ? health(sidecar) : path === '/readyz' ? readiness(sidecar) : null
    const [status, body] = answer ?? [404, { error: `nothing at ${path}: there are /healthz and /readyz` }]
    const text = `${JSON.stringify(body, null, 2)}\n`
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    response.end(request.method === 'HEAD' ? undefined : text)
  })
  return { url: await listen(http, address), http }
}

type Told = [status: number, body: object]

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

function readiness({ server }: Sidecar): Told {
  return server.isDraining ? [503, { status: 'draining' }] : [200, { status: 'ready' }]
}
