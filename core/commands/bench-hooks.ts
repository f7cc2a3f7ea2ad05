/** What each hook of each plugin takes: looked at from around it, while exchanges walk as ever. */
import { phases, type Exchange, type Hooks, type Phase, type Plugin } from '../plugin.ts'

/** One hook, over all exchanges. */
export interface HookFigures {
  readonly plugin: string
  readonly phase: Phase
  /** How often it was asked per exchange. */
  readonly calls: number
  /** Of one call, in µs: the median. What it waits for is not counted. */
  readonly microseconds: number
  /** Of one call, on the heap of JavaScript: the median. */
  readonly bytes: number
}

interface Seen {
  readonly plugin: string
  readonly phase: Phase
  calls: number
  readonly times: number[]
  readonly sizes: number[]
}

/** Either is disturbed by the other; between the turns of this one nothing is looked at. */
type Looking = 'time' | 'size' | null

/** Calls that are kept of one hook: events come by the fifty. */
const most = 20_000

export class HookMeter {
  looking: Looking = null
  readonly #seen = new Map<string, Seen>()

  /** The plugin with hooks that are looked at, under the name it is mounted by. */
  around(plugin: Plugin, name: string): Plugin {
    return {
      ...plugin,
      setup: async (context) => {
        const hooks = await plugin.setup(context)
        const made: Record<string, unknown> = { ...hooks }
        for (const phase of phases) {
          const hook = hooks[phase]
          if (typeof hook === 'function') made[phase] = this.#wrap(name, phase, hook.bind(hooks) as Ask) // one of the phases
        }
        return made satisfies Hooks // each under the name it had
      },
    }
  }

  /** What was seen in so many exchanges, without what the looking takes itself; begins anew. */
  take(exchanges: number): readonly HookFigures[] {
    const own = new HookMeter()
    const nothing = own.#wrap('', 'onRequest', () => undefined)
    for (const looking of ['time', 'size'] as const) {
      own.looking = looking
      for (let at = 0; at < 2000; at++) nothing(null as never, null)
    }
    const [empty] = own.#seen.values()
    const [time, size] = [median(empty?.times ?? []), median(empty?.sizes ?? [])]
    const figures = [...this.#seen.values()]
      .filter(({ times }) => times.length > 0)
      .map(({ plugin, phase, calls, times, sizes }) => ({
        plugin,
        phase,
        calls: calls / exchanges,
        microseconds: Math.max(0, (median(times) - time) * 1000),
        bytes: Math.max(0, Math.round(median(sizes) - size)),
      }))
    for (const seen of this.#seen.values()) {
      seen.calls = 0
      seen.times.length = 0
      seen.sizes.length = 0
    }
    return figures
  }

  #wrap(plugin: string, phase: Phase, hook: Ask): Ask {
    const name = `${plugin} ${phase}`
    const seen = this.#seen.get(name) ?? { plugin, phase, calls: 0, times: [], sizes: [] }
    this.#seen.set(name, seen)
    return (exchange, subject) => {
      if (this.looking === 'time') {
        seen.calls++
        const from = performance.now()
        const answer = hook(exchange, subject)
        if (seen.times.length < most) seen.times.push(performance.now() - from)
        return answer
      }
      if (this.looking === null || seen.sizes.length >= most / 10) return hook(exchange, subject)
      const before = process.memoryUsage().heapUsed
      const answer = hook(exchange, subject)
      const grown = process.memoryUsage().heapUsed - before
      // Where the collector came in between, nothing was learned.
      if (grown >= 0) seen.sizes.push(grown)
      return answer
    }
  }
}

type Ask = (exchange: Exchange, subject: unknown) => unknown

export function median(list: readonly number[]): number {
  const sorted = list.toSorted((one, other) => one - other)
  return sorted[sorted.length >> 1] ?? 0
}
