/** What the tests of stores need: a model to measure them by, and stores that close with the block. */
import fc from 'fast-check'
import type { Store } from './store.ts'

/** What a store does, said as simply as it can be. Its clock stands still unless it is moved. */
export class StoreModel {
  now = 0
  readonly #values = new Map<string, { value: string; endsAt: number }>()
  readonly #slots = new Map<string, Map<string, number>>()

  get(key: string): string | null {
    const there = this.#values.get(key)
    return there && there.endsAt > this.now ? there.value : null
  }

  set(key: string, value: string, ttl: number): void {
    this.#values.set(key, { value, endsAt: this.now + ttl })
  }

  add(key: string, value: string, ttl: number): boolean {
    if (this.get(key) !== null) return false
    this.set(key, value, ttl)
    return true
  }

  raise(key: string, value: number, ttl: number): number {
    const there = this.get(key)
    const left = there === null ? 0 : (this.#values.get(key)?.endsAt ?? 0) - this.now
    const highest = there === null ? value : Math.max(Number(there), value)
    this.set(key, String(highest), Math.max(left, ttl))
    return highest
  }

  increment(key: string, by: number, ttl: number): number {
    const there = this.get(key)
    const left = there === null ? ttl : (this.#values.get(key)?.endsAt ?? 0) - this.now
    this.set(key, String(Number(there ?? 0) + by), left)
    return Number(this.get(key))
  }

  delete(key: string): void {
    this.#values.delete(key)
  }

  deletePrefix(prefix: string): number {
    const keys = [...this.#values.keys()].filter((key) => key.startsWith(prefix) && this.get(key) !== null)
    for (const key of keys) this.delete(key)
    return keys.length
  }

  holders(key: string): string[] {
    return [...(this.#slots.get(key) ?? [])].filter(([, endsAt]) => endsAt > this.now).map(([holder]) => holder)
  }

  acquire(key: string, holder: string, limit: number, ttl: number): boolean {
    const holders = this.holders(key)
    if (!holders.includes(holder) && holders.length >= limit) return false
    this.renew(key, holder, ttl)
    return true
  }

  renew(key: string, holder: string, ttl: number): void {
    const slots = this.#slots.get(key) ?? new Map()
    this.#slots.set(key, slots.set(holder, this.now + ttl))
  }

  release(key: string, holder: string): void {
    this.#slots.get(key)?.delete(holder)
  }
}

/** `await using store = closing(open…)`: closed at the end of the block, where the test fails as well. */
export function closing<S extends Store>(store: S): S & AsyncDisposable {
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() })
}

/** One step: does the same to the store and to the model, and returns what each of them says. */
export interface Step {
  (real: Store, model: StoreModel, prefix: string): Promise<[unknown, unknown]>
  toString(): string
}

const key = fc.constantFrom('a', 'b', '{t}c', '{t}d', 'é{')
/** Slots and values are never under one key. */
const slotKey = key.map((key) => `slots:${key}`)
const numberKey = key.map((key) => `number:${key}`)
const holder = fc.constantFrom('h1', 'h2', 'h3', 'h4')
const text = fc.string({ unit: 'grapheme', maxLength: 8 })

function step<T extends unknown[]>(
  name: string,
  parts: { [I in keyof T]: fc.Arbitrary<T[I]> },
  act: (real: Store, model: StoreModel, prefix: string, ...values: T) => Promise<[unknown, unknown]>,
): fc.Arbitrary<Step> {
  // The tuple of the arbitraries' values, which fast-check's own type loses on the way through a mapped tuple.
  const values = fc.tuple(...parts) as unknown as fc.Arbitrary<T>
  return values.map((values): Step => {
    const acting: Step = (real, model, prefix) => act(real, model, prefix, ...values)
    acting.toString = () => `${name}(${fc.stringify(values)})`
    return acting
  })
}

/** Every method but those of channels. `ttl` is how long things live, in ms. */
export function steps(ttl: fc.Arbitrary<number>): fc.Arbitrary<Step> {
  return fc.oneof(
    step('get', [key], async (real, model, p, key) => [await real.get(p + key), model.get(p + key)]),
    step('getMany', [fc.array(key, { maxLength: 4 })], async (real, model, p, keys) => [
      await real.getMany(keys.map((key) => p + key)),
      keys.map((key) => model.get(p + key)),
    ]),
    step('set', [key, text, ttl], async (real, model, p, key, value, ttl) => [
      await real.set({ key: p + key, value, ttl }),
      model.set(p + key, value, ttl),
    ]),
    step('setMany', [fc.array(fc.tuple(key, text, ttl), { maxLength: 4 })], async (real, model, p, entries) => {
      await real.setMany(entries.map(([key, value, ttl]) => ({ key: p + key, value, ttl })))
      for (const [key, value, ttl] of entries) model.set(p + key, value, ttl)
      return [null, null]
    }),
    step('add', [key, text, ttl], async (real, model, p, key, value, ttl) => [
      await real.add({ key: p + key, value, ttl }),
      model.add(p + key, value, ttl),
    ]),
    step('raise', [numberKey, fc.integer(), ttl], async (real, model, p, key, value, ttl) => [
      await real.raise(p + key, value, ttl),
      model.raise(p + key, value, ttl),
    ]),
    step('increment', [numberKey, fc.integer(), ttl], async (real, model, p, key, by, ttl) => [
      await real.increment(p + key, by, ttl),
      model.increment(p + key, by, ttl),
    ]),
    step('delete', [fc.array(key, { maxLength: 3 })], async (real, model, p, keys) => {
      await real.delete(keys.map((key) => p + key))
      for (const key of keys) model.delete(p + key)
      return [null, null]
    }),
    step('deletePrefix', [fc.constantFrom('{t}', 'number:', 'a')], async (real, model, p, prefix) => [
      await real.deletePrefix(p + prefix),
      model.deletePrefix(p + prefix),
    ]),
    step('acquire', [slotKey, holder, fc.nat(3), ttl], async (real, model, p, key, holder, limit, ttl) => [
      await real.acquire(p + key, holder, limit, ttl),
      model.acquire(p + key, holder, limit, ttl),
    ]),
    step('renew', [fc.array(fc.tuple(slotKey, holder), { maxLength: 4 }), ttl], async (real, model, p, slots, ttl) => {
      await real.renew(
        slots.map(([key, holder]) => ({ key: p + key, holder })),
        ttl,
      )
      for (const [key, holder] of slots) model.renew(p + key, holder, ttl)
      return [null, null]
    }),
    step('release', [slotKey, holder], async (real, model, p, key, holder) => [
      await real.release(p + key, holder),
      model.release(p + key, holder),
    ]),
    step('count', [fc.array(slotKey, { maxLength: 5 })], async (real, model, p, keys) => [
      await real.count(keys.map((key) => p + key)),
      keys.map((key) => model.holders(p + key).length),
    ]),
  )
}
