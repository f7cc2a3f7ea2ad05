/** What happens, told to the pages that are open. Nobody looks: nothing is collected and no timer runs. */
import type { ServerResponse } from 'node:http'
import { summaryOf } from './explain.ts'
import type { Ended, Notes } from './notes.ts'
import type { Trail } from './trail.ts'

/** Pages that may look at the same time. */
const mostWatchers = 32
/** Changes are told together, so often at most, in ms. */
const every = 250
/** Exchanges in one telling; those that changed last. */
const mostTold = 200
/** Bytes that may wait for a page that does not read. */
const mostWaiting = 4 * 2 ** 20
/** A connection that nobody hears of any more is found by writing to it, in ms. */
const heartbeat = 15_000

/** One per process: it outlives a reload, and so do the pages' connections. */
export class Events {
  readonly #trail: Trail
  readonly #watchers = new Set<ServerResponse>()
  readonly #changed = new Map<number, Notes | Ended>()
  #flush: NodeJS.Timeout | null = null
  #beat: NodeJS.Timeout | null = null

  constructor(trail: Trail) {
    this.#trail = trail
  }

  get watchers(): number {
    return this.#watchers.size
  }

  /** Begins to tell a page, first of all what there is. False: too many look already. */
  watch(response: ServerResponse): boolean {
    if (this.#watchers.size >= mostWatchers) return false
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
    const { live } = this.#trail
    const known = [...live.slice(-mostTold).reverse(), ...this.#trail.newest(mostTold)]
    response.write(message('exchanges', { exchanges: known.map(summaryOf), under_way: live.length }))
    this.#watchers.add(response)
    response.on('close', () => this.#left(response))
    this.#trail.changed ??= (one) => this.#note(one)
    this.#beat ??= setInterval(() => this.#write(': still here\n\n'), heartbeat)
    return true
  }

  /** Ends every connection. */
  close(): void {
    for (const response of this.#watchers) {
      response.end()
      this.#left(response)
    }
  }

  #note(one: Notes | Ended): void {
    // The latest is the last: what does not fit is what changed first.
    this.#changed.delete(one.number)
    this.#changed.set(one.number, one)
    if (this.#changed.size > mostTold) this.#changed.delete(this.#changed.keys().next().value!)
    this.#flush ??= setTimeout(() => this.#tell(), every)
  }

  #tell(): void {
    this.#flush = null
    const exchanges = [...this.#changed.values()].reverse().map(summaryOf)
    this.#changed.clear()
    this.#write(message('exchanges', { exchanges, under_way: this.#trail.live.length }))
  }

  #write(text: string): void {
    for (const response of this.#watchers) {
      if (response.writableLength > mostWaiting) response.destroy()
      else response.write(text)
    }
  }

  #left(response: ServerResponse): void {
    this.#watchers.delete(response)
    if (this.#watchers.size > 0) return
    this.#trail.changed = null
    this.#changed.clear()
    if (this.#flush) clearTimeout(this.#flush)
    if (this.#beat) clearInterval(this.#beat)
    this.#flush = null
    this.#beat = null
  }
}

function message(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}
