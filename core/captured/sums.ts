/** How many captured errors there are, by hour, code and upstream. */

export interface Count {
  /** Null: the records say nothing of it. */
  readonly name: string | null
  readonly count: number
}

export interface Hour {
  /** When it begins, as ISO 8601, in UTC. */
  readonly at: string
  readonly count: number
  readonly phases: Readonly<Record<string, number>>
}

export interface Summary {
  readonly count: number
  /** The earliest first; hours without any are left out. */
  readonly hours: readonly Hour[]
  /** The most frequent first, alike ones by name. */
  readonly codes: readonly Count[]
  readonly upstreams: readonly Count[]
}

/** Adds up what several places say. */
export class Sums {
  readonly #hours = new Map<number, Map<string, number>>()
  readonly #codes = new Map<string | null, number>()
  readonly #upstreams = new Map<string | null, number>()

  /** `hour`: any moment of it, in ms since 1970. */
  addHour(hour: number, phase: string, count = 1): void {
    const begin = Math.floor(hour / anHour) * anHour
    let phases = this.#hours.get(begin)
    if (!phases) this.#hours.set(begin, (phases = new Map<string, number>()))
    add(phases, phase, count)
  }

  addCode(code: string | null, count = 1): void {
    add(this.#codes, code, count)
  }

  addUpstream(upstream: string | null, count = 1): void {
    add(this.#upstreams, upstream, count)
  }

  told(): Summary {
    const hours = [...this.#hours]
      .toSorted(([one], [other]) => one - other)
      .map(([begin, phases]) => ({
        at: new Date(begin).toISOString(),
        count: [...phases.values()].reduce((sum, count) => sum + count, 0),
        phases: Object.fromEntries(phases),
      }))
    return {
      count: hours.reduce((sum, { count }) => sum + count, 0),
      hours,
      codes: sorted(this.#codes),
      upstreams: sorted(this.#upstreams),
    }
  }
}

const anHour = 3_600_000

function add<K>(counts: Map<K, number>, name: K, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count)
}

function sorted(counts: ReadonlyMap<string | null, number>): Count[] {
  return [...counts].map(([name, count]) => ({ name, count })).toSorted(byCount)
}

function byCount(one: Count, other: Count): number {
  return other.count - one.count || (one.name ?? '').localeCompare(other.name ?? '')
}
