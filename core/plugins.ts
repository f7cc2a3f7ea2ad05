/** Where plugins come from: the built-in folder, a folder beside gateway.yaml, an installed package. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { PluginSource } from './config/load.ts'
import { UnusablePlugin } from './config/plugins.ts'
import { contractProblem } from './contract.ts'
import type { Plugin } from './plugin.ts'
import { leadHome, specifierIn, stamped } from './plugins-resolve.ts'

const builtIn = fileURLToPath(new URL('../plugins/', import.meta.url))

const folders = readdirSync(builtIn)

/** A bare name is built in; `./path` is a folder or file beside gateway.yaml; `@scope/name` and `name/part` are packages. */
export const pluginSource: PluginSource = {
  // For whoever has misspelt one: until then no folder is looked into but those of the list.
  get names() {
    return folders.filter((name) => entryOf(join(builtIn, name)) !== null)
  },
  async load(name, folder) {
    const module: unknown = await read(name, locate(name, folder))
    const plugin = (module as { default?: unknown }).default
    const missing = missingOf(plugin)
    if (missing !== null)
      throw new Error(`${name} has no default export made by definePlugin or defineProvider${missing}`)
    const { contract } = plugin as Plugin // it has all that one needs
    const problem = contract === undefined ? null : contractProblem(contract)
    if (problem) throw new UnusablePlugin(problem.message, problem.cure)
    return plugin as Plugin // as above
  },
}

/** What stands for the module in an import. */
function locate(name: string, folder: string): string {
  const own = folders.includes(name) ? entryOf(join(builtIn, name)) : null
  if (own) return pathToFileURL(own).href
  leadHome()
  if (name.startsWith('.')) {
    const place = resolve(folder, name)
    const entry = entryOf(place)
    if (!entry && !/\.[cm]?[jt]s$/.test(place)) throw new Error(`there is no index.ts or index.js in ${place}`)
    // A file that is named itself may lie beside anything: nothing but itself is looked at.
    return entry ? latest(entry, () => lastChange(place)) : latest(place, () => changeOf(place))
  }
  if (name.includes('/')) return specifierIn(resolve(folder), name)
  throw new Error(`there is no plugin "${name}"`)
}

/** The code of a plugin's folder: the source, or what was built from it. */
function entryOf(folder: string): string | null {
  const entries = ['index.ts', 'index.js', 'index.mjs'].map((file) => join(folder, file))
  return entries.find((file) => existsSync(file)) ?? null
}

/** When each plugin was last changed, as it was first read. */
const firstRead = new Map<string, number>()

/** Node never reads a module twice, nor one that has failed: after a change it is asked for under another name. */
function latest(file: string, change: () => number): string {
  const { href } = pathToFileURL(file)
  const changed = change()
  const first = firstRead.get(file) ?? changed
  firstRead.set(file, first)
  return first === changed ? href : stamped(href, changed)
}

/** In ms, of the newest file of code in a folder and those below it. */
function lastChange(folder: string): number {
  const times = readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name.startsWith('.') ? 0 : lastChange(path)
    return /\.([cm]?[jt]s|json)$/.test(entry.name) ? changeOf(path) : 0
  })
  return Math.max(0, ...times)
}

/** 0 where there is no such file: the import says so. */
function changeOf(file: string): number {
  return Math.round(statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
}

async function read(name: string, specifier: string): Promise<unknown> {
  try {
    return await import(specifier)
  } catch (error) {
    throw explained(name, error)
  }
}

/** What Node says of a module that it cannot run, in words for whoever wants it to. */
function explained(name: string, error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? error.code : null
  const message = error instanceof Error ? error.message : String(error)
  const [firstLine = ''] = message.split('\n')
  if (code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING')
    return new UnusablePlugin(
      'it is TypeScript inside node_modules, which Node does not run',
      'Publish it as JavaScript (npm run build in a folder that postern new has made), or take it in as ./FOLDER',
    )
  if (code === 'ERR_NO_TYPESCRIPT' || (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /"\.[cm]?ts"/.test(message)))
    return new UnusablePlugin(
      `it is TypeScript, which Node ${process.versions.node} does not run as it is here`,
      'Use Node 22.18 or newer, or build it to JavaScript and name its index.js',
    )
  if (message.includes('outside a module'))
    return new UnusablePlugin(
      'it is an ES module, and the package.json around it says that its files are none',
      'Put "type": "module" into that package.json, or call the file index.mjs',
    )
  if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`))
    return new UnusablePlugin('no such package is installed', `Run npm install ${name} beside gateway.yaml`)
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return new Error(firstLine)
  return new Error(`it fails when it is imported: ${firstLine}`)
}

/** Null where it is a plugin; else what it lacks, to end a sentence. */
function missingOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return ''
  const { name, config, reads, mayRead, writes, setup } = value as Partial<Plugin> // each is looked at below
  if (typeof setup !== 'function') return ''
  if (typeof name !== 'string' || name === '') return ': it has no name'
  if (typeof config !== 'object' && typeof config !== 'boolean') return ': it has no schema for its configuration'
  return [reads, mayRead, writes].every(Array.isArray) ? null : ': it does not say which facts it reads and writes'
}
