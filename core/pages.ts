/** What plugins show on the admin listener. Each gateway has pages of its own: a reload brings new ones. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export type PageMethod = 'GET' | 'POST'

/** Answers a request to a page. What it throws becomes a 500, if nothing was sent yet, and a line in the log. */
export type PageHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

export interface PageOptions {
  /** Whether it is shown to those who have not given the admin key. For files that tell nothing of this gateway. */
  readonly isPublic?: boolean
}

/** A page, and the plugin it belongs to. */
export interface PluginPage {
  readonly plugin: string
  readonly handle: PageHandler
  readonly isPublic: boolean
}

/** What the admin listener has without any plugin. */
export const ownPaths = [
  '/healthz',
  '/readyz',
  '/metrics',
  '/gates',
  '/configuration',
  '/sticky/flush',
  '/log/level',
  '/log/reopen',
] as const

/** The pages of one gateway. */
export class Pages {
  readonly #exact = new Map<string, PluginPage>()
  /** Those with a `*` at their end, by what stands before it. */
  readonly #below = new Map<string, PluginPage>()

  /** Throws an Error that names both where the path has a page already. A `*` at the end stands for one character or more. */
  add(plugin: string, method: PageMethod, path: string, handle: PageHandler, { isPublic = false }: PageOptions = {}) {
    if (!/^\/[^\s?#*]*\*?$/.test(path))
      throw new Error(`the page ${method} ${path} has no path that a request could have`)
    if (ownPaths.some((own) => own === path)) throw new Error(`the page ${path} is the gateway's own`)
    const pages = path.endsWith('*') ? this.#below : this.#exact
    const name = `${method} ${path.replace('*', '')}`
    const other = pages.get(name)
    if (other)
      throw new Error(`the page ${method} ${path} belongs to ${other.plugin} already, and ${plugin} wants it too`)
    pages.set(name, { plugin, handle, isPublic })
  }

  /** The page at a path; among those with a `*` the longest. Null where there is none. */
  find(method: string, path: string): PluginPage | null {
    const exact = this.#exact.get(`${method} ${path}`)
    if (exact) return exact
    const asked = `${method} ${path}`
    let [found, length]: [PluginPage | null, number] = [null, 0]
    for (const [name, page] of this.#below) {
      if (name.length > length && asked.length > name.length && asked.startsWith(name))
        [found, length] = [page, name.length]
    }
    return found
  }

  /** Method and path of each, as they were declared. */
  get names(): string[] {
    return [...this.#exact.keys(), ...[...this.#below.keys()].map((name) => `${name}*`)]
  }
}
