/** Where an upstream stands among the candidates, by its name. */
import type { Upstream } from 'postern/plugin'

/** In shorter lists a look at each is faster than a look into the memory of the list. */
const few = 32

/** The gateway gives the same list to one exchange after the other: what was learned of one counts as long as it is given. */
const known = new WeakMap<readonly Upstream[], Map<string, number>>()

/** -1 where it is none of them. */
export function placeOf(candidates: readonly Upstream[], upstream: string): number {
  if (candidates.length <= few) return candidates.findIndex(({ name }) => name === upstream)
  let places = known.get(candidates)
  if (!places) {
    places = new Map(candidates.map(({ name }, at) => [name, at]))
    known.set(candidates, places)
  }
  return places.get(upstream) ?? -1
}
