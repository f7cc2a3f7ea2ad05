/** Which key of a Map was written first, asked again and again while the first ones are deleted. */

/**
 * V8 keeps the places of deleted entries until it rebuilds the map, and a new iterator walks over all of them: with a million keys,
 * half a million steps for each that is evicted. One iterator goes on where it was. What it has passed must be deleted, or deleted and
 * set anew, before it is asked again.
 */
export class Oldest {
  readonly #map: ReadonlyMap<string, unknown>
  #keys: Iterator<string> | null = null

  constructor(map: ReadonlyMap<string, unknown>) {
    this.#map = map
  }

  /** Null where the map is empty. */
  next(): string | null {
    const going = this.#keys?.next()
    if (going && !going.done) return going.value
    this.#keys = this.#map.keys()
    const first = this.#keys.next()
    return first.done ? null : first.value
  }

  /** Lets go of the iterator: one that stands still keeps every earlier form of the map alive. To be called now and then. */
  rest(): void {
    this.#keys = null
  }
}
