/** Plugins that stand around sticky-session in its tests: one chooses above it, one looks and counts below it. */
import { definePlugin, retry, type PassedOver, type Plugin, type Store, type StoreEntry } from 'postern/plugin'
import type { Pin } from './pin.ts'

/** What one ranking saw. */
export interface Seen {
  readonly session: string | null
  readonly pin: Pin | null
  readonly order: readonly string[]
  readonly passedOver: readonly PassedOver[]
}

export interface Probe {
  /** Stands above: puts the upstream called `first` at the head of the candidates, and leaves `without` out. */
  readonly chooser: Plugin
  /** Stands below: remembers what it sees. */
  readonly witness: Plugin
  first: string | null
  without: string | null
  readonly seen: Seen[]
  /** Keys of each `getMany`. */
  readonly reads: (readonly string[])[]
  /** Entries of each `setMany`. */
  readonly writes: (readonly StoreEntry[])[]
  /** The gateway's store, once there is a gateway. */
  readonly store: Store
  /** While it is set, the store rejects as it does when it is down. */
  outage: Error | null
}

/** Makes a pair for one gateway and its reloads. */
export function probe(): Probe {
  const seen: Seen[] = []
  const reads: (readonly string[])[] = []
  const writes: (readonly StoreEntry[])[] = []
  const opened: Store[] = []
  const chooser = definePlugin({
    name: 'chooser',
    config: { type: 'object', description: 'Puts one upstream first.', additionalProperties: false, properties: {} },
    setup: ({ store }) => {
      if (!opened.includes(store)) opened.unshift(watched(store))
      return {
        rankUpstreams(_exchange, candidates) {
          const those = candidates.filter(({ name }) => name !== made.without)
          return those.toSorted((one, other) => Number(other.name === made.first) - Number(one.name === made.first))
        },
      }
    },
  })
  const witness = definePlugin({
    name: 'witness',
    config: { type: 'object', description: 'Looks.', additionalProperties: false, properties: {} },
    reads: ['session', 'pin'],
    setup: () => ({
      rankUpstreams({ facts, passedOver }, candidates) {
        seen.push({ session: facts.session, pin: facts.pin, order: candidates.map(({ name }) => name), passedOver })
        return candidates
      },
    }),
  })
  const made: Probe = {
    chooser,
    witness,
    first: null,
    without: null,
    seen,
    reads,
    writes,
    get store() {
      const [store] = opened
      if (!store) throw new Error('no gateway has opened a store yet')
      return store
    },
    outage: null,
  }
  return made

  /** The store itself, with its round trips counted on their way. */
  function watched(store: Store): Store {
    const getMany = store.getMany.bind(store)
    const setMany = store.setMany.bind(store)
    store.getMany = async (keys) => {
      reads.push(keys)
      if (made.outage) throw made.outage
      return getMany(keys)
    }
    store.setMany = async (entries) => {
      writes.push(entries)
      if (made.outage) throw made.outage
      return setMany(entries)
    }
    return store
  }
}

/** Asks another upstream where one fails; no more than that. */
export const again = definePlugin({
  name: 'again',
  config: { type: 'object', description: 'Asks again.', additionalProperties: false, properties: {} },
  setup: () => ({
    rankUpstreams: ({ failures }, candidates) =>
      candidates.filter((candidate) => !failures.some(({ upstream }) => upstream === candidate)),
    onUpstreamResult: (_exchange, { judgement }) => (judgement === 'final' ? undefined : retry()),
  }),
})

/** Waits until it holds, at most two seconds; what is not true by then fails the test. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 2000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
