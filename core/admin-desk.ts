/** What a sidecar tells on the admin listener: is it alive, is it ready, what does it run, and what its plugins show. */
import { configuration } from './admin-configuration.ts'
import type { AdminSettings } from './admin-guard.ts'
import { findOwn, namesOf, type Desk, type OwnPages, type Told } from './admin.ts'
import type { Config } from './config/load.ts'
import { render } from './config/problems.ts'
import { settingsOf } from './commands/gates.ts'
import { flushPrefix } from './commands/sticky.ts'
import { evaluateGates, readGateHistory } from './gates.ts'
import { levels } from './observe/log.ts'
import type { RefusedVersion, Sidecar } from './sidecar.ts'
import type { Waits } from './waits.ts'

/** The pages of one sidecar. */
export const sidecarPages: OwnPages<Sidecar> = {
  '/healthz': {
    method: 'GET',
    tell: (sidecar, _query, isPrivy) => [200, isPrivy ? health(sidecar) : discreet(health(sidecar))],
  },
  '/readyz': { method: 'GET', tell: readiness },
  '/metrics': { method: 'GET', tell: (sidecar) => [200, sidecar.metrics()] },
  '/gates': { method: 'GET', tell: gates },
  '/configuration': {
    method: 'GET',
    tell: async ({ config, server, lastProblem }) => [
      200,
      await configuration({ config, builtAt: server.gateway.builtAt, lastProblem }),
    ],
  },
  '/sticky/flush': { method: 'POST', tell: flush },
  '/log/level': { method: 'POST', tell: setLevel },
  '/log/reopen': { method: 'POST', tell: reopen },
}

/** For the listener of a sidecar that is alone. */
export function deskOf(sidecar: Sidecar, settings: AdminSettings): Desk {
  const { server } = sidecar
  return {
    log: server.gateway.log,
    find: (method, path) =>
      findOwn(sidecarPages, sidecar, settings, method, path) ?? server.gateway.pages.find(method, path),
    get names() {
      return [...namesOf(sidecarPages), ...server.gateway.pages.names]
    },
  }
}

/** What `/healthz` tells of a process that serves. */
export interface Health {
  readonly status: 'ok' | 'draining'
  readonly configuration: object
  readonly last_problem: object | null
  readonly exchanges: number
  readonly draining: { readonly since: string; readonly waits: WaitsAndParts } | null
  readonly retiring: readonly Retiring[]
  readonly uptime_s: number
}

/** A gateway that was replaced and has not ended. */
export interface Retiring {
  readonly version: string
  readonly exchanges: number
  readonly since: string
  readonly waits: WaitsAndParts
}

export type WaitsAndParts = Waits & { readonly parts: readonly string[] }

/** A refused configuration does not make a sidecar unhealthy, it is only told. */
export function health({ server, retiring, lastProblem, startedAt, stoppedAt }: Sidecar): Health {
  const { config, exchanges, builtAt } = server.gateway
  return {
    status: stoppedAt === null ? 'ok' : 'draining',
    configuration: configurationTold(config, builtAt),
    last_problem: problemTold(lastProblem),
    exchanges: exchanges.length,
    draining: stoppedAt === null ? null : { since: new Date(stoppedAt).toISOString(), waits: server.gateway.waits },
    retiring: [...retiring].map((gateway) => ({
      version: gateway.config.version,
      exchanges: gateway.exchanges.length,
      since: new Date(gateway.retiredAt ?? Date.now()).toISOString(),
      waits: gateway.waits,
    })),
    uptime_s: Math.round((Date.now() - startedAt) / 1000),
  }
}

/** Exchanges have ids that their clients may have chosen: whoever may only know that it is well hears how many there are. */
export function discreet(told: Pick<Health, 'draining' | 'retiring'>): object {
  const counted = <One extends { readonly waits: Waits }>(one: One) => ({
    ...one,
    waits: { exchanges: one.waits.exchanges },
  })
  return { ...told, draining: told.draining && counted(told.draining), retiring: told.retiring.map(counted) }
}

/** The configuration that runs, since `builtAt` (ms since 1970). */
export function configurationTold({ file, version, notes }: Config, builtAt: number) {
  const age = Math.round((Date.now() - builtAt) / 1000)
  return { file, version, loaded_at: new Date(builtAt).toISOString(), age_s: age, notes }
}

/** The version that was refused last, and why. */
export function problemTold(refused: RefusedVersion | null): object | null {
  return (
    refused && {
      at: new Date(refused.at).toISOString(),
      problems: refused.problems.map((problem) => ({ ...problem, text: render(problem) })),
    }
  )
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
  return [200, { file: sidecar.config.settings.log.file ?? null }]
}
