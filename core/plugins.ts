/** Where plugins come from: the built-in folder, a folder beside gateway.yaml, an installed package. */
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { PluginSource } from './config/load.ts'
import type { Plugin } from './plugin.ts'

const builtIn = fileURLToPath(new URL('../plugins/', import.meta.url))

/** A bare name is built in; `./path` is a folder or file beside gateway.yaml; `@scope/name` and `name/part` are packages. */
export const pluginSource: PluginSource = {
  names: readdirSync(builtIn, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entryOf(join(builtIn, entry.name)) !== null)
    .map((entry) => entry.name),
  async load(name, folder) {
    const module: unknown = await import(locate(name, folder))
    const plugin = (module as { default?: unknown }).default
    if (!isPlugin(plugin)) throw new Error(`${name} has no default export made by definePlugin or defineProvider`)
    return plugin
  },
}

function locate(name: string, folder: string): string {
  if (name.startsWith('.')) {
    const place = resolve(folder, name)
    const entry = entryOf(place)
    if (!entry && !/\.[cm]?[jt]s$/.test(place)) throw new Error(`there is no index.ts or index.js in ${place}`)
    return pathToFileURL(entry ?? place).href
  }
  const own = entryOf(join(builtIn, name))
  if (own && pluginSource.names.includes(name)) return pathToFileURL(own).href
  if (name.includes('/')) return pathToFileURL(createRequire(join(folder, 'gateway.yaml')).resolve(name)).href
  throw new Error(`there is no plugin "${name}"`)
}

/** The code of a plugin's folder: the source, or what was built from it. */
function entryOf(folder: string): string | null {
  const entries = ['index.ts', 'index.js', 'index.mjs'].map((file) => join(folder, file))
  return entries.find((file) => existsSync(file)) ?? null
}

function isPlugin(value: unknown): value is Plugin {
  return (
    typeof value === 'object' &&
    value !== null &&
    'setup' in value &&
    typeof value.setup === 'function' &&
    'config' in value &&
    'reads' in value
  )
}
