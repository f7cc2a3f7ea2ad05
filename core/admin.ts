/** The second listener: is it alive, is it ready, what does it run, and what its plugins show. Never on the public address. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { configuration } from './admin-configuration.ts'
import { compileGuard, isReachable, type AdminSettings, type Guard } from './admin-guard.ts'
import { render } from './config/problems.ts'
import { settingsOf } from './commands/gates.ts'
import { flushPrefix } from './commands/sticky.ts'
import type { Gateway } from './gateway.ts'
import { evaluateGates, readGateHistory } from './gates.ts'
import { levels } from './observe/log.ts'
import { Listener } from './listener.ts'
import { metricsContentType } from './observe/metrics.ts'
import { redactText } from './observe/redact.ts'
import type { ownPaths, PageMethod, PluginPage } from './pages.ts'
import type { Sidecar } from './sidecar.ts'

/** A text is what Prometheus reads. */
type Told = readonly [status: number, body: object | string]

/**
 * What a path answers; `body` of a POST is not read: what it needs stands in the query. `isPrivy`: who asks would be shown the pages
 * that are not public, too.
 */
type Page = (sidecar: Sidecar, query: URLSearchParams, isPrivy: boolean) => Told | Promise<Told>

const pages: Readonly<Record<(typeof ownPaths)[number], { readonly method: PageMethod; readonly tell: Page }>> = {
  '/healthz': { method: 'GET', tell: health },
  '/readyz': { method: 'GET', tell: readiness },
  '/metrics': { method: 'GET', tell: (sidecar) => [200, sidecar.metrics()] },
  '/gates': { method: 'GET', tell: gates },
  '/configuration': { method: 'GET', tell: async (sidecar) => [200, await configuration(sidecar)] },
  '/sticky/flush': { method: 'POST', tell: flush },
  '/log/level': { method: 'POST', tell: setLevel },
  '/log/reopen': { method: 'POST', tell: reopen },
}

/** A gateway's own page, or a plugin's; both are guarded alike. */
type Found = { readonly isPublic: boolean } & ({ readonly tell: Page } | PluginPage)

/** Opens the admin listener. Rejects with a sentence where it cannot listen there, or where the key is no key. */
export async function openAdmin(sidecar: Sidecar, address: string): Promise<{ url: string; listener: Listener }> {
  // Nothing is asked of it before it listens, and where it listens is what it has to know.
  let guard: Guard | null = null
  const settings = sidecar.server.gateway.config.settings.admin as AdminSettings // else nobody would open it
  const listener = new Listener({}, settings.tls)
  const { http } = listener
  http.on('request', (request, response) => {
    void arrive(sidecar, settings, guard, request, response).catch((error: unknown) => {
      const message = redactText(error instanceof Error ? error.message : String(error))
      sidecar.server.gateway.log.warn({ err: error, path: pathOf(request) }, 'a page of the admin listener failed')
      if (response.headersSent) response.destroy()
      else tell(response, [503, { error: message }])
    })
  })
  compileGuard(settings, null)
  const url = await listener.listen(address)
  guard = compileGuard(settings, http.address())
  if (isReachable(http.address()) && !settings.key?.reveal())
    sidecar.server.gateway.log.warn(
      { url },
      'other machines reach the admin listener, and there is no admin.key: it tells /healthz and /readyz alone',
    )
  return { url, listener }
}

async function arrive(
  sidecar: Sidecar,
  settings: AdminSettings,
  guard: Guard | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method: asked = 'GET', url = '' } = request
  const method = asked === 'HEAD' ? 'GET' : asked
  const path = pathOf(request)
  const found = find(sidecar, settings, method, path)
  // Who may not ask is not told what there is.
  const turned = guard ? guard(request, found ?? { isPublic: false }) : closed
  if (turned) {
    if (turned.status === 401) response.setHeader('www-authenticate', 'Bearer')
    return tell(response, [turned.status, { error: turned.error }])
  }
  if (!found)
    return tell(response, [404, { error: `nothing at ${asked} ${path}: there are ${namesOf(sidecar).join(', ')}` }])
  if ('tell' in found) {
    const isPrivy = guard?.(request, { isPublic: false }) === null
    return tell(response, await found.tell(sidecar, new URLSearchParams(url.split('?', 2)[1]), isPrivy))
  }
  harden(response)
  await found.handle(request, response)
}

const closed = { status: 403, error: 'it does not listen yet' } as const

function find(sidecar: Sidecar, settings: AdminSettings, method: string, path: string): Found | null {
  const own = Object.hasOwn(pages, path) ? pages[path as keyof typeof pages] : null // it has the key, as was just asked
  if (own?.method === method) return { tell: own.tell, isPublic: isPublic(path, settings) }
  return sidecar.server.gateway.pages.find(method, path)
}

/** What asks for them is often no more than a line in somebody's orchestrator. */
function isPublic(path: string, { metrics_without_key: metrics }: AdminSettings): boolean {
  return path === '/healthz' || path === '/readyz' || (path === '/metrics' && metrics)
}

function namesOf({ server }: Sidecar): string[] {
  return [...Object.entries(pages).map(([path, { method }]) => `${method} ${path}`), ...server.gateway.pages.names]
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? ''
}

function tell(response: ServerResponse, [status, body]: Told): void {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body, null, 2)}\n`
  harden(response)
  response.writeHead(status, {
    'content-type': typeof body === 'string' ? metricsContentType : 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

/** For every answer of this listener, whoever gives it. */
function harden(response: ServerResponse): void {
  response.setHeader('cache-control', 'no-store')
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('cross-origin-resource-policy', 'same-origin')
}

/**
 * 200 as long as the process can answer: a refused configuration does not make a sidecar unhealthy, it is only told. Exchanges have
 * ids that their clients may have chosen: whoever may only know that it is well hears how many there are.
 */
function health(
  { server, retiring, lastProblem, startedAt, stoppedAt }: Sidecar,
  _query: URLSearchParams,
  isPrivy: boolean,
): Told {
  const { config, exchanges, builtAt } = server.gateway
  const waits = ({ waits }: Gateway) => (isPrivy ? waits : { exchanges: waits.exchanges })
  return [
    200,
    {
      status: stoppedAt === null ? 'ok' : 'draining',
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
      draining: stoppedAt === null ? null : { since: new Date(stoppedAt).toISOString(), waits: waits(server.gateway) },
      retiring: [...retiring].map((gateway) => ({
        version: gateway.config.version,
        exchanges: gateway.exchanges.length,
        since: new Date(gateway.retiredAt ?? Date.now()).toISOString(),
        waits: waits(gateway),
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

/** Until the next reload, which takes the level of gateway.yaml. */
function setLevel(sidecar: Sidecar, query: URLSearchParams): Told {
  const asked = query.get('level')
  const level = levels.find((one) => one === asked)
  if (level === undefined) return [400, { error: `level is one of ${levels.join(', ')}` }]
  sidecar.setLogLevel(level)
  return [200, { level }]
}

/** What throws is a sentence. */
function reopen(sidecar: Sidecar): Told {
  sidecar.reopenLog()
  const { file = null } = sidecar.server.gateway.config.settings.log
  return [200, { file }]
}
