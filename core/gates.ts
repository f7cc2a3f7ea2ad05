/**
 * The gates of the compatibility switches: may the next one be turned off? Read from counts per day that plugins keep in the store
 * under `gate:{DAY}:COUNTER` (the day is UTC, such as 2026-03-01; whoever counts adds there, each count lives 40 days).
 */
import type { Store } from './store/store.ts'

/** In the order in which they go: each needs the one before it to be off. */
export const switches = [
  'session_hash_dual_write_old',
  'session_hash_read_old_fallback',
  'metadata_bridge_enabled',
] as const
export type Switch = (typeof switches)[number]

export const gateCounters = [
  'sticky_reads',
  'fallback_total',
  'fallback_hit',
  'writes',
  'dual_writes',
  'moves',
  'alerts',
  'store_errors',
  'metadata_reads',
  'metadata_fallback',
] as const
export type GateCounter = (typeof gateCounters)[number]

/** What was counted on one day, by every sidecar of the store. */
export type GateDay = { readonly day: string } & Readonly<Record<GateCounter, number>>

export interface Gate {
  readonly switch: Switch
  /** Whether it may be turned off. */
  readonly verdict: 'pass' | 'hold'
  readonly reason: string
  /** The days that were looked at, oldest first. */
  readonly history: readonly GateDay[]
}

export interface GateOptions {
  /** Days in a row that have to be quiet. */
  readonly days?: number
  /** Look-ups that a day needs to say anything. */
  readonly fewestReads?: number
  /** What gateway.yaml says of each switch, where that is known. */
  readonly settings?: Readonly<Partial<Record<Switch, boolean>>>
}

/** A quiet day finds an old key in fewer than one of a thousand look-ups for one. */
const mostHits = 0.001

/** The key of one count. */
export function gateKey(day: string, counter: GateCounter): string {
  return `gate:{${day}}:${counter}`
}

/** The days that end with the one `now` (ms since 1970) is in, oldest first, in one round trip. A day nobody counted is all zeros. */
export async function readGateHistory(
  store: Pick<Store, 'getMany'>,
  { days = 8, now = Date.now() }: { days?: number; now?: number } = {},
): Promise<GateDay[]> {
  const names = Array.from({ length: days }, (_, at) => dayOf(now - (days - 1 - at) * dayLength))
  const values = await store.getMany(names.flatMap((day) => gateCounters.map((counter) => gateKey(day, counter))))
  return names.map((day, row) => {
    const counts = gateCounters.map((counter, column) => {
      const count = Number(values[row * gateCounters.length + column] ?? 0)
      return [counter, Number.isFinite(count) ? count : 0] as const
    })
    // One entry for each counter.
    return { day, ...(Object.fromEntries(counts) as Record<GateCounter, number>) }
  })
}

/**
 * What each gate says, in the order of retirement. `history` ends with today, which is not over: it counts for nothing but its
 * alerts. Days that are missing from it hold.
 */
export function evaluateGates(history: readonly GateDay[], options: GateOptions = {}): Gate[] {
  const { days = 7, fewestReads = 100, settings = {} } = options
  const today = history.at(-1)
  const past = history.slice(0, -1).slice(-days)
  const shown = [...past, ...(today ? [today] : [])]
  const noise = unquiet(past, days, fewestReads) ?? alerted(today)
  return switches.map((name, at) => {
    const gate = (verdict: Gate['verdict'], reason: string): Gate => ({ switch: name, verdict, reason, history: shown })
    if (settings[name] === false) return gate('pass', 'it is off already')
    const before = switches[at - 1]
    if (before !== undefined) {
      if (settings[before] === true) return gate('hold', `${before} goes first, and is on`)
      const busy = past.find((day) => stillUsed(day, before) > 0)
      if (busy) return gate('hold', `${before} goes first, and was in use on ${busy.day}`)
    }
    const read = name === 'metadata_bridge_enabled' ? past.find(readsOldMetadata) : undefined
    if (read) return gate('hold', `on ${read.day} ${read.metadata_fallback} fields were read from headers of old`)
    const unseen = at === 0 ? past.find((day) => day.dual_writes > 0 && day.fallback_total === 0) : undefined
    if (unseen)
      return gate('hold', `on ${unseen.day} old keys were written and not looked for: nobody knows who needs them`)
    return noise === null ? gate('pass', `${days} quiet days`) : gate('hold', noise)
  })
}

/** Some app still sends what it should no longer have to. */
function readsOldMetadata({ metadata_reads: reads, metadata_fallback: fallback }: GateDay): boolean {
  return fallback > 0 && fallback >= reads * mostHits
}

/** What shows that some sidecar still had the switch on that day. */
function stillUsed(day: GateDay, name: Switch): number {
  return name === 'session_hash_dual_write_old' ? day.dual_writes : day.fallback_total
}

/** What keeps the days from being so many quiet days in a row; the latest is told first. */
function unquiet(past: readonly GateDay[], days: number, fewestReads: number): string | null {
  for (const day of past.toReversed()) {
    const { sticky_reads: reads, fallback_total: total, fallback_hit: hits } = day
    if (reads === 0) return `nothing was counted on ${day.day}`
    if (reads < fewestReads) return `${day.day} has ${reads} look-ups only, and says nothing below ${fewestReads}`
    const alert = alerted(day)
    if (alert !== null) return alert
    if (hits > 0 && hits >= total * mostHits) {
      const rate = total === 0 ? '' : ` (${((100 * hits) / total).toFixed(2)} %)`
      return `on ${day.day} ${hits} of ${total} look-ups for an old key found one${rate}`
    }
  }
  const gap = past.find((day, at) => at > 0 && dayOf(Date.parse(day.day) - dayLength) !== past[at - 1]?.day)
  if (gap) return `the day before ${gap.day} is not known`
  return past.length < days ? `${past.length} of ${days} days are known` : null
}

function alerted(day: GateDay | undefined): string | null {
  if (!day || day.alerts === 0) return null
  return `${day.day} has ${day.alerts} ${day.alerts === 1 ? 'alert' : 'alerts'}`
}

const dayLength = 24 * 60 * 60 * 1000

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
