/** A gateway of several workers, as a process, and what it says of itself. */
import { parseExposition } from '../../core/observe/metrics.fixture.ts'
import { until } from '../redis.ts'
import type { GatewayProcess, Settings } from './gateway-process.fixture.ts'

export const workers = 3

export function settings(upstreams: readonly { readonly url: string }[], more: Settings = {}): Settings {
  return {
    workers,
    plugins: ['openai', 'console'],
    upstreams: upstreams.map(({ url }, at) => ({ name: 'abc'[at], provider: 'openai', url, key: `key-${at}` })),
    ...more,
  }
}

export interface Row {
  readonly worker: number
  readonly pid: number
  readonly state: string
  readonly exchanges: number | null
  readonly replaced: number
  readonly last_end: { readonly signal: string | null } | null
}

export interface Health {
  readonly status: string
  readonly configuration: { readonly version: string }
  readonly last_problem: { readonly problems: readonly { readonly message: string }[] } | null
  readonly exchanges: number
  readonly retiring: readonly unknown[]
  readonly workers: readonly Row[]
}

export async function health({ adminUrl }: GatewayProcess): Promise<Health> {
  return (await (await fetch(`${adminUrl}/healthz`)).json()) as Health // what the supervisor tells
}

export async function allServe(gateway: GatewayProcess): Promise<readonly Row[]> {
  let rows: readonly Row[] = []
  await until(async () => {
    rows = (await health(gateway)).workers
    return rows.length === workers && rows.every(({ state }) => state === 'serving')
  })
  return rows
}

/** The sum of a counter over its labels. */
export async function counted({ adminUrl }: GatewayProcess, name: string): Promise<number> {
  const families = parseExposition(await (await fetch(`${adminUrl}/metrics`)).text())
  const samples = families.get(name)?.samples ?? []
  const family = families.get(name)
  const wanted = family?.kind === 'histogram' ? `${name}_count` : name
  return samples.filter((one) => one.name === wanted).reduce((sum, { value }) => sum + value, 0)
}

/** How many exchanges each has served, the first worker first, by the lines of the log. */
export function servedBy(gateway: GatewayProcess): number[] {
  const lines = gateway.lines.filter(({ msg }) => msg === 'exchange')
  return Array.from({ length: workers }, (_, at) => lines.filter(({ worker }) => worker === at + 1).length)
}

/** Resolves when so many lines say so. */
export function untilServed(gateway: GatewayProcess, exchanges: number): Promise<void> {
  return until(() => servedBy(gateway).reduce((sum, one) => sum + one, 0) === exchanges)
}

export async function chat(url: string, body: object = { model: 'm', messages: [] }, headers = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

/** Whether there is such a process. */
export function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
