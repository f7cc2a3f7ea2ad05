/** `postern bench`: what the plugins of the user's own gateway.yaml cost, on the user's own machine. */
import { ConfigError, render } from '../config/problems.ts'
import type { Sidecar } from '../sidecar.ts'
import { BenchClient } from './bench-client.ts'
import { exchangesOf, openUpstream, type BenchExchange } from './bench-exchanges.ts'
import { HookMeter, type HookFigures } from './bench-hooks.ts'
import { sharesOf, type Shares, type Way } from './bench-shares.ts'
import { benchKey, metered, modelOf, open, readBench, without, type Bench } from './bench-stage.ts'
import type { Values } from './table.ts'

const defaultRequests = 2000

/** Streams are fifty events each. */
const streamsFor = (requests: number) => Math.max(20, Math.round(requests / 5))

interface Told {
  readonly exchange: string
  /** How often it was asked of each gateway. */
  readonly requests: number
  readonly hooks: readonly HookFigures[]
  readonly cost: Shares
}

/** Resolves with the exit code: 1 where it cannot be measured, 2 where it was called wrongly. */
export async function bench({ config: file, json, database, requests }: Values): Promise<number> {
  const count = Number(requests ?? defaultRequests)
  if (!Number.isInteger(count) || count < 100) return fail('--requests is a whole number, 100 at the least', 2)
  try {
    await using upstream = await openUpstream()
    const stage = await readBench(file, upstream.url, database)
    const { told, refused } = await measure(file, stage, upstream.url.href, count)
    const { leftOut } = stage
    if (json)
      process.stdout.write(`${JSON.stringify({ file, left_out: leftOut, refused, exchanges: told }, null, 2)}\n`)
    else process.stdout.write(inWords(told, { ...leftOut, ...refused }))
    if (told.length > 0) return 0
    return fail('there is no exchange that could be measured: no provider is mounted, or all of them were refused', 1)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return fail(error instanceof ConfigError ? error.problems.map(render).join('\n\n') : reason, 1)
  }
}

async function measure(file: string, { config }: Bench, direct: string, requests: number) {
  const meter = new HookMeter()
  const sidecars: Sidecar[] = []
  const add = async (name: string, one = config): Promise<Way> => {
    const sidecar = await open(file, one)
    sidecars.push(sidecar)
    return { name, url: sidecar.url }
  }
  try {
    const looked = await add('looked at', metered(config, meter))
    const ways = { direct: { name: 'direct', url: direct }, whole: await add('whole'), again: await add('again') }
    const optional = config.plugins.filter(({ plugin }) => !plugin.mount)
    const others: Way[] = []
    for (const entry of optional)
      others.push(
        await add(
          entry.name,
          without(config, (one) => one === entry),
        ),
      )
    const told: Told[] = []
    const refused: Record<string, string> = {}
    const providers = config.plugins.flatMap((entry) => entry.providers)
    for (const exchange of exchangesOf(providers, (provider) => modelOf(config, provider), benchKey)) {
      const { title, isStream } = exchange
      const many = isStream ? streamsFor(requests) : requests
      process.stderr.write(`${title}\n`)
      try {
        const hooks = await lookedAt(looked, meter, exchange, many)
        told.push({
          exchange: title,
          requests: many,
          hooks,
          cost: await sharesOf({ ...ways, without: others }, exchange, many),
        })
      } catch (error) {
        refused[title] = `answered ${sentence(error instanceof Error ? error.message : String(error))}`
      }
    }
    return { told, refused }
  } finally {
    await Promise.all(sidecars.map((sidecar) => sidecar.stop()))
  }
}

async function lookedAt({ url }: Way, meter: HookMeter, { request }: BenchExchange, many: number) {
  using client = new BenchClient(url)
  await client.ask(request, Math.max(200, many / 2))
  meter.looking = 'time'
  await client.ask(request, many)
  meter.looking = 'size'
  await client.ask(request, Math.max(20, many / 10))
  meter.looking = null
  return meter.take(many)
}

/** In one exchange. What a plugin adds may be more: others learn for it what they would not look at otherwise. */
function inHooks(hooks: readonly HookFigures[], name: string): number {
  return hooks.reduce((sum, { plugin, calls, microseconds }) => sum + (plugin === name ? calls * microseconds : 0), 0)
}

/** The status and the body of an answer that was none. */
function sentence(answer: string): string {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return `${head.split('\r\n')[0]?.replace('HTTP/1.1 ', '')}: ${body.slice(0, 200).trim()}`
}

function inWords(told: readonly Told[], absent: Readonly<Record<string, string>>): string {
  const parts = told.map(({ exchange, requests, hooks, cost }) => {
    const [low, high] = cost.spread.map((micro) => micro.toFixed(0))
    return [
      `${exchange}: the gateway takes ${cost.whole.toFixed(0)} µs of CPU per request (${low} to ${high} in half of the rounds, ${requests} requests each)`,
      columns([
        ['plugin', 'hook', 'calls', 'µs/call', 'bytes/call'],
        ...hooks.map(({ plugin, phase, calls, microseconds, bytes }) => [
          plugin,
          phase,
          calls < 10 ? calls.toFixed(1) : calls.toFixed(0),
          microseconds.toFixed(2),
          String(bytes),
        ]),
      ]),
      columns([
        ['plugin', 'in its hooks, µs', 'adds µs', 'share'],
        ...cost.shares.map(({ plugin, microseconds, share, noise }) => [
          plugin,
          inHooks(hooks, plugin).toFixed(1),
          microseconds === null ? `< noise (${noise.toFixed(1)})` : microseconds.toFixed(1),
          share === null ? '< noise' : `${(share * 100).toFixed(1)} %`,
        ]),
      ]),
    ].join('\n\n')
  })
  const reasons = Object.entries(absent).map(([name, reason]) => `left out: ${name}, ${reason}`)
  return `${[...parts, ...(reasons.length > 0 ? [reasons.join('\n')] : [])].join('\n\n')}\n`
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)))
  const isText = (at: number) => at === 0 || rows[0]![at] === 'hook'
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (isText(at) ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  ')
  return rows.map((row) => `  ${line(row)}`.trimEnd()).join('\n')
}

function fail(reason: string, code: number): number {
  process.stderr.write(`postern: ${reason}\n`)
  return code
}
