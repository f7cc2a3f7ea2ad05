/** A provider's dialect by itself, for tests of what it makes of a path, an event, a refusal. */
import type { Headers, Plugin } from 'postern/plugin'
import type { Claim, Dialect, Usage } from 'postern/provider'

/** The dialect of a provider that is mounted with its defaults. */
export function dialectOf(plugin: Plugin): Dialect {
  const [provider] = plugin.mount?.({ as: plugin.name, prefix: '', url: 'http://localhost' }, []) ?? []
  if (!provider) throw new Error(`${plugin.name} is no provider`)
  return provider.dialect
}

export function claimOf(plugin: Plugin): (method: string, path: string, headers?: Headers) => Claim | null {
  const dialect = dialectOf(plugin)
  return (method, path, headers = {}) => dialect.claims(method, path, headers)
}

/** The usage after these events. */
export function usageOf(plugin: Plugin): (...events: string[]) => Usage {
  const dialect = dialectOf(plugin)
  return (...events) => {
    const usage: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 }
    for (const event of events) dialect.usage(Buffer.from(event), usage)
    return usage
  }
}

export function refusalOf(plugin: Plugin, status: number, code: string, message: string): object {
  return dialectOf(plugin).refusal(status, code, message)
}
