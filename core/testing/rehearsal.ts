/** Hooks without sockets, for a benchmark: a gateway that nobody can reach, and exchanges that are in it already. */
import { takeBody } from '../body/take.ts'
import { parseConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { buildGateway } from '../gateway.ts'
import { silentLog } from '../observe/log.ts'
import { openMetrics } from '../observe/metrics.ts'
import type { Exchange, Hooks, Plugin } from '../plugin.ts'
import { enter, type AskedFor } from '../rehearse.ts'
import { Shared } from '../shared.ts'
import { toYaml, withInline, type GatewayOptions } from './gateway.ts'

export interface Rehearsal extends AsyncDisposable {
  /** The hooks of a plugin, as its setup has made them for this configuration. */
  hooks(plugin: Plugin): Hooks
  /** An exchange whose body is there. `onRequest` and `onBody` of nobody were asked; it has left when the rehearsal ends. */
  exchange(asked: AskedFor): Promise<Exchange>
}

/** Builds a gateway of plugin objects and names, and listens nowhere. */
export async function rehearse(options: GatewayOptions): Promise<Rehearsal> {
  const made = new Map<string, Hooks>()
  const spied = (plugin: Plugin): Plugin => ({
    ...plugin,
    async setup(context) {
      const hooks = await plugin.setup(context)
      made.set(plugin.name, hooks)
      return hooks
    },
  })
  const plugins = options.plugins.map((item) => (isPlugin(item) ? spied(item) : item))
  const inline = new Map<string, Plugin>()
  const text = toYaml({ ...options, plugins }, inline)
  const { config, problems } = await parseConfig(text, 'gateway.yaml', {
    plugins: withInline(inline),
    env: options.env ?? {},
  })
  if (!config) throw new ConfigError(problems)
  const gateway = await buildGateway(config, { shared: new Shared(), log: silentLog, metrics: openMetrics() })
  return {
    hooks: ({ name }) => made.get(name) ?? {},
    async exchange(asked) {
      const exchange = enter(gateway, asked)
      exchange.body = await takeBody(exchange)
      return exchange
    },
    async [Symbol.asyncDispose]() {
      for (const exchange of gateway.exchanges.slice()) gateway.leave(exchange)
      await gateway.retire()
    },
  }
}

function isPlugin(item: unknown): item is Plugin {
  return typeof item === 'object' && item !== null && 'setup' in item
}
