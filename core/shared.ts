/** What outlives a reload: opened for the first gateway that asks for it, closed after the last has let it go. */

interface Held {
  readonly it: Promise<unknown>
  readonly close: () => Promise<void>
  holders: number
}

/** One per process. Keys are the owner's: whoever asks for a key again gets what is open under it. */
export class Shared {
  readonly #held = new Map<string, Held>()

  /** How many things are open: 0 after the last gateway has retired. */
  get size(): number {
    return this.#held.size
  }

  /** Takes hold of what is open under the key, or opens it. A failed opening is forgotten, and rejects. */
  async take<T>(key: string, open: () => T | Promise<T>, close: (it: T) => void | Promise<void>): Promise<T> {
    let held = this.#held.get(key)
    if (!held) {
      const it = Promise.resolve().then(open)
      held = { it, holders: 0, close: async () => close(await it) }
      this.#held.set(key, held)
      it.catch(() => this.#held.delete(key))
    }
    held.holders++
    // The type is the one under which the key was opened: a key belongs to one place in the code.
    return held.it as Promise<T>
  }

  /** Lets go; the last one closes. Resolves when it is closed. */
  async release(key: string): Promise<void> {
    const held = this.#held.get(key)
    if (!held || --held.holders > 0) return
    this.#held.delete(key)
    await held.close()
  }
}
