/** What the supervisor tells on the admin listener: all workers together. */
import { configuration } from '../admin-configuration.ts'
import { configurationTold, discreet, problemTold, type Health, type WaitsAndParts } from '../admin-desk.ts'
import type { AdminSettings } from '../admin-guard.ts'
import { findOwn, namesOf, type Desk, type OwnPages, type Told } from '../admin.ts'
import { levels } from '../observe/log.ts'
import type { ownPaths } from '../pages.ts'
import type { Place } from './crew.ts'
import { renderReadings, together } from './metrics.ts'
import type { Supervisor } from './supervisor.ts'

/** How long a worker may take to say how it is, in ms. */
const patience = 2000

const pages: OwnPages<Supervisor> = {
  '/healthz': { method: 'GET', tell: health },
  '/readyz': { method: 'GET', tell: readiness },
  '/metrics': { method: 'GET', tell: metrics },
  '/gates': { method: 'GET', tell: (supervisor, query) => askOne(supervisor, '/gates', query) },
  '/configuration': { method: 'GET', tell: async (supervisor) => [200, await configuration(supervisor)] },
  '/sticky/flush': { method: 'POST', tell: (supervisor, query) => askOne(supervisor, '/sticky/flush', query) },
  '/log/level': { method: 'POST', tell: setLevel },
  '/log/reopen': { method: 'POST', tell: reopen },
}

/** For the listener of a supervisor. */
export function deskOf(supervisor: Supervisor, settings: AdminSettings): Desk {
  return {
    log: supervisor.log,
    find: (method, path) => findOwn(pages, supervisor, settings, method, path) ?? supervisor.pages.find(method, path),
    get names() {
      return [...namesOf(pages), ...supervisor.pages.names]
    },
  }
}

/** What the workers say of a page, those that say anything. */
async function askAll({ crew }: Supervisor, path: (typeof ownPaths)[number]) {
  const asked = crew.hands.map(async (hand) => {
    const told = await hand.ask('page', { path, query: '' }, patience).catch(() => null)
    return told && { worker: hand.number, told }
  })
  return (await Promise.all(asked)).filter((one) => one !== null)
}

/** What one of them says counts for all: it stands in the store. */
async function askOne({ crew }: Supervisor, path: (typeof ownPaths)[number], query: URLSearchParams): Promise<Told> {
  const [hand] = crew.serving
  if (!hand) return [503, { error: 'no worker serves at the moment' }]
  return hand.ask('page', { path, query: query.toString() }, 5 * patience)
}

/** As one process would tell it, and what each worker does. */
async function health(supervisor: Supervisor, _query: URLSearchParams, isPrivy: boolean): Promise<Told> {
  const { config, builtAt, startedAt, stoppedAt, lastProblem, crew } = supervisor
  const told = (await askAll(supervisor, '/healthz')).map(({ worker, told: [, body] }) => ({
    worker,
    health: body as Health, // what a sidecar tells there
  }))
  const waits = told.flatMap((one) => one.health.draining?.waits ?? [])
  const all = {
    status: stoppedAt === null ? 'ok' : 'draining',
    configuration: configurationTold(config, builtAt),
    last_problem: problemTold(lastProblem),
    exchanges: sum(told.map((one) => one.health.exchanges)),
    draining: stoppedAt === null ? null : { since: new Date(stoppedAt).toISOString(), waits: joined(waits) },
    retiring: told.flatMap(({ worker, health: { retiring } }) => retiring.map((one) => ({ worker, ...one }))),
    uptime_s: Math.round((Date.now() - startedAt) / 1000),
    workers: crew.places.map((place) => rowOf(place, told.find(({ worker }) => worker === place.number)?.health)),
  }
  return [200, isPrivy ? all : discreet(all)]
}

/** `silent`: it is there and does not say how it is. */
function rowOf({ number, hand, starts, lastEnd }: Place, told: Health | undefined): object {
  return {
    worker: number,
    pid: hand?.pid ?? null,
    state: hand === null ? 'ended' : told || hand.state === 'starting' ? hand.state : 'silent',
    exchanges: told?.exchanges ?? null,
    serving_since: hand?.servingSince ? new Date(hand.servingSince).toISOString() : null,
    replaced: Math.max(0, starts - 1),
    last_end: lastEnd && { at: new Date(lastEnd.at).toISOString(), code: lastEnd.code, signal: lastEnd.signal },
  }
}

/** The oldest of all, and how many there are. */
function joined(waits: readonly WaitsAndParts[]): WaitsAndParts {
  return {
    exchanges: sum(waits.map(({ exchanges }) => exchanges)),
    oldest: waits
      .flatMap(({ oldest }) => oldest)
      .toSorted((one, other) => other.ms - one.ms)
      .slice(0, 5),
    parts: [...new Set(waits.flatMap(({ parts }) => parts))],
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0)
}

/** As the worker tells it that is worst off; ready as long as one is. */
async function readiness(supervisor: Supervisor): Promise<Told> {
  const { crew, stoppedAt } = supervisor
  const told = (await askAll(supervisor, '/readyz')).map(({ told: [, body] }) => body as Parts) // what a sidecar tells there
  const serving = crew.serving.length
  const worst = (of: 'store' | 'database') => told.map((one) => one[of]).find((one) => one && one.state !== 'up')
  const status = stoppedAt !== null ? 'draining' : serving === 0 ? 'no worker serves' : 'ready'
  const body = {
    status,
    store: worst('store') ?? told[0]?.store ?? null,
    database: worst('database') ?? told[0]?.database ?? null,
    workers: { serving, of: crew.places.length },
  }
  return [status === 'ready' ? 200 : 503, body]
}

/** As much of `/readyz` as is looked at. */
interface Parts {
  readonly store: { readonly state: string } | null
  readonly database: { readonly state: string } | null
}

async function metrics({ crew, ...supervisor }: Pick<Supervisor, 'crew' | 'read'>): Promise<Told> {
  const sources = await crew.read(patience)
  return [200, renderReadings(together([{ worker: 'supervisor', readings: supervisor.read() }, ...sources]))]
}

/** Until the next reload, which takes the level of gateway.yaml. */
async function setLevel(supervisor: Supervisor, query: URLSearchParams): Promise<Told> {
  const asked = query.get('level')
  const level = levels.find((one) => one === asked)
  if (level === undefined) return [400, { error: `level is one of ${levels.join(', ')}` }]
  await supervisor.setLogLevel(level)
  return [200, { level }]
}

/** What throws is a sentence. */
function reopen(supervisor: Supervisor): Told {
  supervisor.reopenLog()
  return [200, { file: supervisor.config.settings.log.file ?? null }]
}
