/** What plugins show on the admin listener. Each gateway has pages of its own: a reload brings new ones. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export type PageMethod = 'GET' | 'POST'

/** Answers a request to a page. What it throws becomes a 500, if nothing was sent yet, and a line in the log. */
export type PageHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

export interface PageOptions {
  /** Whether it is shown to those who have not given the admin key. For files that tell nothing of this gateway. */
  readonly isPublic?: boolean
  /**
   * Who answers where several workers serve. `any`: one of them, the one that `?worker=N` asks for, and `x-postern-worker` in the answer
   * says which. `each`: a GET is asked of one after the other until one does not answer 404, a POST of all of them. Absent: `any`.
   */
  readonly across?: 'any' | 'each'
}

/** A page, and the plugin it belongs to. */
export interface PluginPage {
  readonly plugin: string
  readonly handle: PageHandler
  readonly isPublic: boolean
  readonly across: 'any' | 'each'
}

/** A page as another process knows it: without what answers. */
export interface PageSign extends Pick<PluginPage, 'plugin' | 'isPublic' | 'across'> {
  readonly method: PageMethod
  readonly path: string
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
  add(plugin: string, method: PageMethod, path: string, handle: PageHandler, options: PageOptions = {}) {
    const { isPublic = false, across = 'any' } = options
    if (!/^\/[^\s?#*]*\*?$/.test(path))
      throw new Error(`the page ${method} ${path} has no path that a request could have`)
    if (ownPaths.some((own) => own === path)) throw new Error(`the page ${path} is the gateway's own`)
    const pages = path.endsWith('*') ? this.#below : this.#exact
    const name = `${method} ${path.replace('*', '')}`
    const other = pages.get(name)
    if (other)
      throw new Error(`the page ${method} ${path} belongs to ${other.plugin} already, and ${plugin} wants it too`)
    pages.set(name, { plugin, handle, isPublic, across })
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

  /** All of them, for another process. */
  get signs(): PageSign[] {
    const all = [
      ...[...this.#exact].map(([name, page]) => [name, page] as const),
      ...[...this.#below].map(([name, page]) => [`${name}*`, page] as const),
    ]
    return all.map(([name, { plugin, isPublic, across }]) => {
      const [method, path] = name.split(' ') as [PageMethod, string] // as `add` has made it
      return { plugin, isPublic, across, method, path }
    })
  }

  /** Method and path of each, as they were declared. */
  get names(): string[] {
    return [...this.#exact.keys(), ...[...this.#below.keys()].map((name) => `${name}*`)]
  }
}
