/** Hooks without sockets, for a benchmark: a gateway that nobody can reach, and exchanges that are in it already. */
import { takeBody } from '../body/take.ts'
import { parseConfig } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { buildGateway } from '../gateway.ts'
import { quietHouse } from '../house.ts'
import type { Hooks, Plugin } from '../plugin.ts'
import { enter } from '../rehearse.ts'
import { toYaml, withInline } from './gateway.ts'
import type { GatewayOptions, GatewaySurroundings, Rehearsal } from './surface.ts'

/** Builds a gateway as `gateway` does, and listens nowhere. Rejects with ConfigError. */
export async function rehearse(options: GatewayOptions | string, around: GatewaySurroundings = {}): Promise<Rehearsal> {
  const made = new Map<string, Hooks>()
  const spied = (plugin: Plugin): Plugin => ({
    ...plugin,
    async setup(context) {
      const hooks = await plugin.setup(context)
      made.set(plugin.name, hooks)
      return hooks
    },
  })
  const inline = new Map((around.plugins ?? []).map((plugin) => [plugin.name, spied(plugin)]))
  const { config, problems } = await parseConfig(textOf(options, inline, spied), 'gateway.yaml', {
    plugins: withInline(inline, around.folder),
    env: around.env ?? (typeof options === 'string' ? {} : options.env) ?? {},
  })
  if (!config) throw new ConfigError(problems)
  const gateway = await buildGateway(config, quietHouse({ isOnlyRead: false }))
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

function textOf(
  options: GatewayOptions | string,
  inline: Map<string, Plugin>,
  spied: (plugin: Plugin) => Plugin,
): string {
  if (typeof options === 'string') return options
  return toYaml({ ...options, plugins: options.plugins.map((item) => (isPlugin(item) ? spied(item) : item)) }, inline)
}

function isPlugin(item: unknown): item is Plugin {
  return typeof item === 'object' && item !== null && 'setup' in item
}
