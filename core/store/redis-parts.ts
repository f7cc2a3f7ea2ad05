/** Splits what a method is asked about into what one command can be asked about. */
import { hashSlot } from './hash-slot.ts'

export interface Part<T> {
  /** The key of its first item. */
  readonly key: string
  readonly items: T[]
  /** Where each item stood. */
  readonly places: number[]
}

/** In a cluster, a command's keys are of one hash slot. More than `most` items are several parts, and not one long command. */
export function partsOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { isCluster, most }: { isCluster: boolean; most: number },
): Part<T>[] {
  const parts: Part<T>[] = []
  const open = new Map<number, Part<T>>()
  for (const [place, item] of items.entries()) {
    const key = keyOf(item)
    const slot = isCluster ? hashSlot(key) : 0
    let part = open.get(slot)
    if (!part || part.items.length === most) {
      part = { key, items: [], places: [] }
      open.set(slot, part)
      parts.push(part)
    }
    part.items.push(item)
    part.places.push(place)
  }
  return parts
}
