/** What ops-capture has kept of failed exchanges: from the database, from its file, or from both. */
import {
  findErrors,
  listErrors,
  redactText,
  sumErrors,
  type CapturedError,
  type ErrorFilter,
  type ErrorPlaces,
} from 'postern/plugin'

const day = 86_400_000
/** How far back the page may look, in days. */
const mostDays = 31
const words = ['upstream', 'phase', 'owner', 'code', 'exchange'] as const

/** What the query string asks for; null where that is nothing that can be asked. */
export function filterIn(query: URLSearchParams, now: number): ErrorFilter | null {
  const days = Number(query.get('days') ?? 1)
  const status = query.get('status') ?? ''
  if (!Number.isInteger(days) || days < 1 || days > mostDays || !/^\d{0,3}$/.test(status)) return null
  const filter: Record<string, unknown> = { since: now - days * day }
  if (status !== '') filter.status = Number(status)
  for (const name of words) if (query.get(name)) filter[name] = query.get(name)!
  return filter
}

/** A list for the page, the newest first, without bodies. `file` is null where none is configured. */
export async function errorsTold(places: ErrorPlaces, filter: ErrorFilter, most: number): Promise<object> {
  const { found, problem } = await listErrors(places, filter, most)
  return { ...sourceOf(places, problem), errors: found.map(brief) }
}

/** How many there are, hour by hour, and of what kinds. */
export async function errorSumsTold(places: ErrorPlaces, filter: ErrorFilter): Promise<object> {
  const { found, problem } = await sumErrors(places, filter)
  const name = (one: { readonly name: string | null }) => ({ ...one, name: one.name && redactText(one.name) })
  return {
    ...sourceOf(places, problem),
    ...found,
    codes: found.codes.slice(0, mostKinds).map(name),
    upstreams: found.upstreams.slice(0, mostKinds).map(name),
  }
}

/** Everything about one, by its own name or that of its exchange; null where there is none. */
export async function errorTold(places: ErrorPlaces, id: string): Promise<object | null> {
  const { found } = await findErrors(places, id, 1)
  return found[0] ?? null
}

/** Kinds that are named. */
const mostKinds = 20

function sourceOf({ database, file }: ErrorPlaces, problem: Error | null): object {
  return { database: database !== null, file, problem: problem && redactText(problem.message) }
}

function brief(record: CapturedError): object {
  const { request_body: _body, error_body: _told, attempts, recovered, ...rest } = record
  return {
    ...rest,
    message: record.message?.slice(0, 1024) ?? null,
    is_recovered: recovered,
    attempts: attempts.length,
  }
}
