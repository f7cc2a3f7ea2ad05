/**
 * Where `postern/plugin` and its siblings lead, for a plugin that lies anywhere: to the modules of the program that runs. A second
 * copy, such as the one in a plugin's own node_modules, would have other classes and other facts than the gateway.
 */
import * as modules from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * From now on imports are resolved so. Built-in plugins need none of it, and each module that is loaded takes longer afterwards: called
 * for the first plugin from elsewhere.
 */
export function leadHome(): void {
  if (leads) return
  leads = true
  // Node 22.15 and 23.5 brought the synchronous kind; before them hooks live on a thread of their own.
  if ('registerHooks' in modules) {
    modules.registerHooks({ resolve: resolver(own) as modules.ResolveHookSync }) // never a promise: next is none there
  } else {
    const text = `export const resolve = (${String(resolver)})(${JSON.stringify(own)})`
    ;(modules as { register(specifier: string): void }).register(`data:text/javascript,${encodeURIComponent(text)}`)
  }
}

let leads = false

/** A module, asked for by whoever has this name for it in this folder. */
export function specifierIn(folder: string, name: string): string {
  return `postern-from:${JSON.stringify([pathToFileURL(`${folder}/gateway.yaml`).href, name])}`
}

/** The files of one folder, as they are now: a plugin that was edited is read again, and what it imports beside it. */
export function stamped(url: string, stamp: number): string {
  return `${url}?changed=${stamp}`
}

interface Resolved {
  url: string
  format?: string | null
}
interface Context {
  conditions: string[]
  importAttributes: modules.ImportAttributes
  parentURL?: string
}
type Next = (specifier: string, context?: Partial<Context>) => Resolved | Promise<Resolved>

/** Stands for itself: older Nodes run its text on another thread. */
const resolver = (own: Readonly<Record<string, string>>) => (specifier: string, context: Context, next: Next) => {
  const house = own[specifier]
  if (house !== undefined) return { url: house, shortCircuit: true }
  if (specifier.startsWith('postern-from:')) {
    const [parentURL, name] = JSON.parse(specifier.slice('postern-from:'.length)) as [string, string] // written above
    return next(name, { ...context, parentURL })
  }
  const stamp = specifier.startsWith('.') ? /\?changed=\d+$/.exec(context.parentURL ?? '')?.[0] : undefined
  if (stamp === undefined) return next(specifier, context)
  const found = next(specifier, context)
  if (found instanceof Promise) return found.then((later) => ({ ...later, url: later.url + stamp }))
  return { ...found, url: found.url + stamp }
}

/** Modules of the house lie beside this file, in the sources and in what is built from them. */
const here = extname(import.meta.url)
const own = Object.fromEntries(
  ['plugin', 'provider', 'access', 'testing'].map((name) => [
    `postern/${name}`,
    new URL(`./${name}${here}`, import.meta.url).href,
  ]),
)
