/** `postern explain`: says what the file compiles to. Sets the plugins up, as `run` does, and takes them down again. */
import { loadConfig } from '../config/load.ts'
import { ConfigError, render } from '../config/problems.ts'
import { workersOf } from '../config/workers.ts'
import { buildGateway, type Gateway } from '../gateway.ts'
import { quietHouse } from '../house.ts'
import type { Command } from '../main.ts'
import { phases, type Phase, type Upstream } from '../plugin.ts'
import { pluginSource } from '../plugins.ts'
import type { Route } from '../route.ts'

export const explain: Command = async ({ config: file }) => {
  try {
    const { config, problems } = await loadConfig(file, { plugins: pluginSource })
    if (!config) throw new ConfigError(problems)
    const gateway = await buildGateway(config, quietHouse({ isOnlyRead: true }))
    process.stdout.write(describe(gateway))
    await gateway.retire()
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stdout.write(`${error.problems.map(render).join('\n\n')}\n`)
    return 1
  }
}

/** What a gateway compiled to, as text. */
export function describe(gateway: Gateway): string {
  const { config } = gateway
  const { settings } = config
  const lines = [
    `${config.file}, version ${config.version}`,
    `listens on ${settings.listen}${settings.admin ? `, admin on ${settings.admin.listen}` : ''}`,
    ...(settings.workers === 1 ? [] : [`serves with ${workersOf(settings)} workers on this machine`]),
    ...describeWebsockets(settings),
    ...config.notes,
    '',
    ...gateway.routes.flatMap((route) => describeRoute(route, gateway)),
    'what no provider claims is answered 404, after',
    ...describePhases(gateway.unclaimed),
  ]
  return `${lines.join('\n')}\n`
}

/** As it would be written in the file. */
function describeWebsockets({ websocket, timeouts }: Gateway['config']['settings']): string[] {
  const {
    message,
    ping,
    ping_timeout: pong,
    compress_clients: clients,
    compress_upstreams: upstreams,
    pool,
  } = websocket
  const compressed = [clients ? 'clients' : '', upstreams ? 'upstreams' : ''].filter(Boolean).join(' and ')
  return [
    `WebSockets: messages up to ${sizeOf(message)}, ${compressed === '' ? 'not compressed' : `compressed for ${compressed}`}, a ping ` +
      `every ${timeOf(ping)} (${timeOf(pong)} to answer), ${timeOf(timeouts.first_message)} to the first request, ` +
      `${timeOf(timeouts.between_turns)} between turns`,
    `WebSockets to an upstream: at most ${pool.max}, ${pool.min_idle} to ${pool.max_idle} idle, ${timeOf(pool.max_age)} old, ` +
      `${pool.queue} turns may wait, utilization ${pool.utilization}`,
  ]
}

function timeOf(ms: number): string {
  const [unit, of] = (
    [
      ['h', 3_600_000],
      ['m', 60_000],
      ['s', 1000],
    ] as const
  ).find(([, one]) => ms >= one && ms % one === 0) ?? ['ms', 1]
  return `${ms / of}${unit}`
}

function sizeOf(bytes: number): string {
  const [unit, of] = (
    [
      ['GiB', 2 ** 30],
      ['MiB', 2 ** 20],
      ['KiB', 2 ** 10],
    ] as const
  ).find(([, one]) => bytes >= one && bytes % one === 0) ?? ['B', 1]
  return `${bytes / of}${unit}`
}

function describeRoute(route: Route, gateway: Gateway): string[] {
  const provider = route.provider!
  const upstreams = gateway.candidates(provider, null)
  return [
    `${provider.name}  ${provider.prefix || '/'} → ${provider.url?.href ?? 'where its upstreams are'}`,
    ...(upstreams.length > 0
      ? upstreams.map((upstream) => `  upstream ${describeUpstream(upstream)}`)
      : ['  no upstream in gateway.yaml']),
    ...describePhases(route),
    '',
  ]
}

function describeUpstream({ name, url, key, models, priority }: Upstream): string {
  const facts = [
    url?.href,
    key ? 'with a key of its own' : "with the client's key",
    models ? `models ${models.join(', ')}` : 'all models',
    `priority ${priority}`,
  ]
  return `${name}: ${facts.filter(Boolean).join(', ')}`
}

/** In the order in which they are asked: what stands first is asked first, downwards or upwards. */
function describePhases({ plugins, provider }: Route): string[] {
  const width = Math.max(...phases.map((phase) => phase.length))
  const joined = phases.filter((phase) => plugins[phase].length > 0 && (provider || reachedByAll.has(phase)))
  if (joined.length === 0) return ['  no plugin is asked']
  return joined.map((phase) => `  ${phase.padEnd(width)}  ${plugins[phase].join(arrow(phase))}`)
}

/** What is refused because nobody claims it never gets to the other phases. */
const reachedByAll: ReadonlySet<Phase> = new Set<Phase>(['onRequest', 'onResponse', 'onEnd'])

function arrow(phase: Phase): string {
  if (phase === 'onMessage') return ' ↕ '
  return phase === 'onRequest' || phase === 'onBody' || phase === 'rankUpstreams' || phase === 'onUpstreamRequest'
    ? ' ↓ '
    : ' ↑ '
}
