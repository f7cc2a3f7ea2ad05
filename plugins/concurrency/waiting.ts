/**
 * Who waits for a slot in this process: one line per key, first come, first served. Only the head of a line asks the store: when
 * a slot of the key was released here, and from time to time for those that other processes release.
 */
import type { Slot } from 'postern/plugin'

/** The first pause between two tries in ms, how it grows, where it ends, and the share by which chance changes it. */
const pause = { first: 100, factor: 1.5, longest: 2000, jitter: 0.2 } as const

/** In ms: what setTimeout can hold. */
const longestTimeout = 2 ** 31 - 1

export interface Wish {
  /** One try for a slot of the key. Null where none is free. Never rejects. */
  readonly attempt: (key: string) => Promise<Slot | null>
  /** Takes back what came when nobody waited for it any more. */
  readonly giveBack: (slot: Slot) => void
  /** In ms. */
  readonly timeout: number
  readonly signal: AbortSignal
}

interface Waiter {
  readonly wish: Wish
  /** Ends the wait, in every line. */
  readonly settle: (slot: Slot | null) => void
}

/** The lines of a process. A line is there only while somebody stands in it. */
export class Lines {
  readonly #lines = new Map<string, Line>()

  /** Places in all lines. */
  get length(): number {
    let all = 0
    for (const line of this.#lines.values()) all += line.length
    return all
  }

  /** How many wait for the key. */
  lengthOf(key: string): number {
    return this.#lines.get(key)?.length ?? 0
  }

  /**
   * Waits for a slot of whichever key has one first; null where the time is over before there is one. Rejects with the signal's
   * reason.
   */
  join(keys: readonly string[], wish: Wish): Promise<Slot | null> {
    const { signal } = wish
    if (signal.aborted) return Promise.reject(reasonOf(signal))
    const { promise, resolve, reject } = Promise.withResolvers<Slot | null>()
    const lines = keys.map((key) => this.#line(key))
    const leave = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      for (const line of lines) line.remove(waiter)
    }
    const settle = (slot: Slot | null) => {
      leave()
      resolve(slot)
    }
    const abort = () => {
      leave()
      reject(reasonOf(signal))
    }
    const waiter: Waiter = { wish, settle }
    const timer = setTimeout(settle, Math.min(wish.timeout, longestTimeout), null)
    signal.addEventListener('abort', abort)
    for (const line of lines) line.add(waiter)
    return promise
  }

  /** A slot of the key was released. */
  wake(key: string): void {
    this.#lines.get(key)?.wake(1)
  }

  /** Nobody has to wait any more. */
  wakeAll(): void {
    for (const line of this.#lines.values()) line.wake(line.length)
  }

  #line(key: string): Line {
    const known = this.#lines.get(key)
    if (known) return known
    const line = new Line(key, () => this.#lines.delete(key))
    this.#lines.set(key, line)
    return line
  }
}

class Line {
  readonly #key: string
  readonly #ended: () => void
  readonly #waiters: Waiter[] = []
  /** Tries that are worth making: one for each slot that was released since the last one began. */
  #owed = 0
  #isTrying = false
  /** Whether the try under way was made on the chance: where one is free by then, more may be. */
  #isChance = false
  /** Tries in vain of the one that is the head now. */
  #vain = 0
  #timer: NodeJS.Timeout | null = null

  /** `ended` is called when nobody stands in it any more. */
  constructor(key: string, ended: () => void) {
    this.#key = key
    this.#ended = ended
  }

  get length(): number {
    return this.#waiters.length
  }

  add(waiter: Waiter): void {
    // A slot may have been released between this one's first try and now, when nobody stood here to be woken.
    if (this.#waiters.push(waiter) === 1) this.#chance()
  }

  wake(tries: number): void {
    this.#owed += tries
    if (!this.#isTrying) void this.#serve()
  }

  #chance(): void {
    this.#isChance = true
    this.wake(1)
  }

  async #serve(): Promise<void> {
    this.#isTrying = true
    this.#pauseEnds()
    while (this.#owed > 0 && this.#waiters.length > 0) {
      const { length, 0: head } = this.#waiters
      const owed = Math.min(this.#owed, length)
      this.#owed = 0
      const slot = await head!.wish.attempt(this.#key)
      if (slot === null) {
        this.#vain++
        this.#isChance = false
        continue
      }
      this.#owed += Math.max(owed - 1, this.#isChance ? 1 : 0)
      if (this.#waiters.includes(head!)) head!.settle(slot)
      else head!.wish.giveBack(slot)
    }
    this.#isTrying = false
    this.#owed = 0
    if (this.#waiters.length === 0) this.#ended()
    else this.#timer = setTimeout(() => this.#chance(), pauseAfter(this.#vain))
  }

  remove(waiter: Waiter): void {
    const at = this.#waiters.indexOf(waiter)
    if (at < 0) return
    this.#waiters.splice(at, 1)
    if (at === 0) this.#vain = 0
    if (this.#waiters.length > 0 || this.#isTrying) return
    this.#pauseEnds()
    this.#ended()
  }

  #pauseEnds(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }
}

/** In ms. */
function pauseAfter(vain: number): number {
  const length = Math.min(pause.first * pause.factor ** Math.max(0, vain - 1), pause.longest)
  return Math.round(length * (1 + pause.jitter * (2 * Math.random() - 1)))
}

/** Whoever ends an exchange says why with an error. */
function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('the exchange has ended')
}
