/** The second listener: who asks is guarded, and what is told is told alike, whoever stands behind it. Never on the public address. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { compileGuard, isReachable, type AdminSettings, type Guard } from './admin-guard.ts'
import { Listener } from './listener.ts'
import { metricsContentType } from './observe/metrics.ts'
import { redactText } from './observe/redact.ts'
import type { Log } from './plugin.ts'
import type { ownPaths, PageHandler, PageMethod } from './pages.ts'

/** A text is what Prometheus reads. */
export type Told = readonly [status: number, body: object | string]

/**
 * A page of the gateway's own; `body` of a POST is not read: what it needs stands in the query. `isPrivy`: who asks would be shown the
 * pages that are not public, too.
 */
export interface OwnPage<Of> {
  readonly method: PageMethod
  readonly tell: (of: Of, query: URLSearchParams, isPrivy: boolean) => Told | Promise<Told>
}

/** What the admin listener has without any plugin. */
export type OwnPages<Of> = Readonly<Record<(typeof ownPaths)[number], OwnPage<Of>>>

/** A page of the gateway's own, or a plugin's; both are guarded alike. */
export type Found = { readonly isPublic: boolean } & (
  | { readonly tell: (query: URLSearchParams, isPrivy: boolean) => Told | Promise<Told> }
  | { readonly handle: PageHandler }
)

/** What stands behind the listener: a sidecar, or the supervisor of several. */
export interface Desk {
  readonly log: Log
  /** Null where there is nothing. */
  find(method: string, path: string): Found | null
  /** Method and path of each page. */
  readonly names: readonly string[]
}

/** Opens the admin listener. Rejects with a sentence where it cannot listen there, or where the key is no key. */
export async function openAdmin(desk: Desk, settings: AdminSettings): Promise<{ url: string; listener: Listener }> {
  // Nothing is asked of it before it listens, and where it listens is what it has to know.
  let guard: Guard | null = null
  const listener = new Listener({}, settings.tls)
  const { http } = listener
  http.on('request', (request, response) => answer(desk, guard, request, response))
  compileGuard(settings, null)
  const url = await listener.listen(settings.listen)
  guard = compileGuard(settings, http.address())
  if (isReachable(http.address()) && !settings.key?.reveal())
    desk.log.warn(
      { url },
      'other machines reach the admin listener, and there is no admin.key: it tells /healthz and /readyz alone',
    )
  return { url, listener }
}

/** Answers a request; null in place of a guard: nobody is answered yet. Never throws. */
export function answer(desk: Desk, guard: Guard | null, request: IncomingMessage, response: ServerResponse): void {
  void arrive(desk, guard, request, response).catch((error: unknown) => {
    const message = redactText(error instanceof Error ? error.message : String(error))
    desk.log.warn({ err: error, path: pathOf(request) }, 'a page of the admin listener failed')
    if (response.headersSent) response.destroy()
    else tell(response, [503, { error: message }])
  })
}

async function arrive(
  desk: Desk,
  guard: Guard | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method: asked = 'GET', url = '' } = request
  const method = asked === 'HEAD' ? 'GET' : asked
  const path = pathOf(request)
  const found = desk.find(method, path)
  // Who may not ask is not told what there is.
  const turned = guard ? guard(request, found ?? { isPublic: false }) : closed
  if (turned) {
    if (turned.status === 401) response.setHeader('www-authenticate', 'Bearer')
    return tell(response, [turned.status, { error: turned.error }])
  }
  if (!found) return tell(response, [404, { error: `nothing at ${asked} ${path}: there are ${desk.names.join(', ')}` }])
  if ('tell' in found) {
    const isPrivy = guard?.(request, { isPublic: false }) === null
    return tell(response, await found.tell(new URLSearchParams(url.split('?', 2)[1]), isPrivy))
  }
  harden(response)
  await found.handle(request, response)
}

const closed = { status: 403, error: 'it does not listen yet' } as const

/** One of the gateway's own pages. `Of`: what it is told of. */
export function findOwn<Of>(
  pages: OwnPages<Of>,
  of: Of,
  settings: AdminSettings | false,
  method: string,
  path: string,
): Found | null {
  const own = Object.hasOwn(pages, path) ? pages[path as keyof typeof pages] : null // it has the key, as was just asked
  if (own?.method !== method) return null
  return {
    tell: (query, isPrivy) => own.tell(of, query, isPrivy),
    isPublic: settings !== false && isPublic(path, settings),
  }
}

/** Method and path of each. */
export function namesOf(pages: OwnPages<never>): string[] {
  return Object.entries(pages).map(([path, { method }]) => `${method} ${path}`)
}

/** What asks for them is often no more than a line in somebody's orchestrator. */
function isPublic(path: string, { metrics_without_key: metrics }: AdminSettings): boolean {
  return path === '/healthz' || path === '/readyz' || (path === '/metrics' && metrics)
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
