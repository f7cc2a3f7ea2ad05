/** Upstreams that an operator has set aside: nobody asks them until their time is over, or the operator says so. */
import { upstreamsWoken, type Log, type Store } from 'postern/plugin'

const channel = 'console_aside'
/** The braces keep all of them on one node of a cluster, so that one command reads them all. */
const keyOf = (upstream: string) => `console:{aside}:${upstream}`

/**
 * Ends every rest of an upstream, whoever has let it rest: what an operator has set aside, and what others who listen have. Resolves
 * with whether the store has told it to all processes.
 */
export async function wake(upstream: string, asides: Asides, store: Store): Promise<boolean> {
  const isEnded = await asides.end(upstream, store)
  const isTold = await store.publish(upstreamsWoken, upstream).then(
    () => true,
    () => false,
  )
  return isEnded && isTold
}

export class Asides {
  /** When each ends, in ms since 1970. */
  readonly #until = new Map<string, number>()
  /** Those that the store has not taken: what it does not know it cannot end. */
  readonly #untold = new Set<string>()

  /** Whether none is: then nobody has to look. */
  get isEmpty(): boolean {
    return this.#until.size === 0
  }

  /** When it will be asked again; null where it is not set aside. */
  until(upstream: string, now: number): number | null {
    const until = this.#until.get(upstream)
    if (until === undefined) return null
    if (until > now) return until
    this.#until.delete(upstream)
    return null
  }

  /** Sets aside for `ms`, here at once and everywhere else as soon as the store has told. False: only here. */
  async put(upstream: string, ms: number, store: Store): Promise<boolean> {
    const until = Date.now() + ms
    this.#until.set(upstream, until)
    if (!store.isShared) return true
    this.#untold.add(upstream)
    try {
      await store.set({ key: keyOf(upstream), value: String(until), ttl: ms })
      await store.publish(channel, JSON.stringify({ upstream, until }))
      this.#untold.delete(upstream)
      return true
    } catch {
      return false
    }
  }

  /** Ends it, as `put` has begun it. */
  async end(upstream: string, store: Store): Promise<boolean> {
    this.#until.delete(upstream)
    this.#untold.delete(upstream)
    if (!store.isShared) return true
    try {
      await store.delete([keyOf(upstream)])
      await store.publish(channel, JSON.stringify({ upstream, until: 0 }))
      return true
    } catch {
      return false
    }
  }

  /** Reads what the others have set aside, in one round trip. What a missed message told is known then. */
  async pull(upstreams: readonly string[], store: Store): Promise<void> {
    const names = [...new Set([...upstreams, ...this.#until.keys()])]
    if (names.length === 0) return
    const values = await store.getMany(names.map(keyOf))
    for (const [at, name] of names.entries()) if (!this.#untold.has(name)) this.#learn(name, Number(values[at] ?? 0))
  }

  /** Hears of it from the others; resolves with what ends that. */
  listen(store: Store): Promise<() => Promise<void>> {
    return store.subscribe(channel, (message) => {
      const told = readMessage(message)
      if (told) this.#learn(told.upstream, told.until)
    })
  }

  #learn(upstream: string, until: number): void {
    const now = Date.now()
    if (until > now && until <= now + longestAside) this.#until.set(upstream, until)
    else this.#until.delete(upstream)
  }
}

/** A day, in ms: what shall be gone for longer is taken out of gateway.yaml. */
export const longestAside = 86_400_000

/** How often the store is read, in ms. Changes are told at once as well. */
const pullEvery = 5000

/** Keeps it in step with other processes for as long as a gateway lives; `woken` is told whose rests have been ended. */
export async function keepInStep(
  asides: Asides,
  names: () => readonly string[],
  woken: (upstream: string) => void,
  context: {
    readonly store: Store
    readonly log: Log
    readonly signal: AbortSignal
    every(ms: number, task: () => Promise<void>): void
  },
): Promise<void> {
  const { store, log, signal } = context
  const failed = (error: unknown) => log.debug({ err: error }, 'what others have set aside could not be read')
  const join = async (listening: Promise<() => Promise<void>>) => {
    const leave = await listening.catch(failed)
    signal.addEventListener('abort', () => void leave?.().catch(failed), { once: true })
  }
  await join(store.subscribe(upstreamsWoken, woken))
  if (!store.isShared) return
  await join(asides.listen(store))
  const pull = () => asides.pull(names(), store).catch(failed)
  await pull()
  context.every(pullEvery, pull)
}

function readMessage(text: string): { upstream: string; until: number } | null {
  try {
    const { upstream, until } = JSON.parse(text) as { upstream?: unknown; until?: unknown } // looked at before it counts
    return typeof upstream === 'string' && typeof until === 'number' ? { upstream, until } : null
  } catch {
    return null
  }
}
