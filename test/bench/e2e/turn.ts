/** One server's turn: load from a process of its own, and what it cost the server. */
import { fileURLToPath } from 'node:url'
import type { Load } from '../load.ts'
import { cpuOf, otherLoad } from './machine.ts'
import { output, type Running } from './processes.ts'

export interface Effort {
  readonly rounds: number
  /** Of one turn. */
  readonly seconds: number
  /** Judges even where others work. */
  readonly anyway: boolean
}

/** When a turn ends. */
export type Until = { readonly seconds: number } | { readonly requests: number }

export interface Asked {
  readonly connections: number
  /** Of the request's body, in bytes. */
  readonly body: number
  /** `{n}` in one is the number of the variant. */
  readonly headers?: readonly string[]
  /** How many different requests take turns; one where absent. */
  readonly variants?: number
  readonly failEvery?: number
  readonly isStream?: boolean
}

export interface Round extends Load {
  /** CPU time of the server's process per request, in µs. */
  readonly cpu?: number
}

/** Cores that others may use while it judges. */
const quiet = 0.15

/** `isMeasured`: whether the server's CPU time is looked at. */
export async function turn(server: Running, asked: Asked, until: Until, isMeasured = true): Promise<Round> {
  const { connections, body, headers = [], variants = 1, failEvery = 0, isStream = false } = asked
  const words = { port: server.port, ...until, connections, body, variants, 'fail-every': failEvery }
  const command = [
    process.execPath,
    fileURLToPath(new URL('../load.ts', import.meta.url)),
    ...Object.entries(words).flatMap(([word, value]) => [`--${word}`, String(value)]),
    ...headers.flatMap((header) => ['--header', header]),
    ...(isStream ? ['--stream'] : []),
  ]
  const before = isMeasured ? cpuOf(server.pid) : 0
  const load = JSON.parse(await output(command)) as Load // load.ts prints one
  return isMeasured ? { ...load, cpu: (cpuOf(server.pid) - before) / Math.max(1, load.requests) } : load
}

/** Waits up to a minute for others to end what they do; how many cores they use. Throws where they do not. */
export async function awaitQuiet(anyway: boolean): Promise<number> {
  let used = await otherLoad()
  for (let waited = 0; used > quiet && !anyway && waited < 60; waited++) used = await otherLoad(1000)
  if (used <= quiet || anyway) return used
  throw new Error(
    `others use ${used.toFixed(2)} cores of this machine: what would be measured is them. End them, or say --anyway.`,
  )
}

export function median(list: readonly number[]): number {
  const sorted = list.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
