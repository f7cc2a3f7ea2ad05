/** The idle connections of a lane in the order in which they were given back, and the sweep over them. */

/** What stands in such a list. The two links are the list's own. */
export interface IdleNode<T> {
  next: T | null
  previous: T | null
}

/** A linked list through its own members: to add, take and remove costs neither a search nor memory. */
export class IdleList<T extends IdleNode<T>> {
  /** The one that has been idle longest. */
  first: T | null = null
  length = 0
  #last: T | null = null

  push(node: T): void {
    node.previous = this.#last
    node.next = null
    if (this.#last === null) this.first = node
    else this.#last.next = node
    this.#last = node
    this.length++
  }

  /** The node must be in this list. */
  remove(node: T): void {
    if (node.previous === null) this.first = node.next
    else node.previous.next = node.next
    if (node.next === null) this.#last = node.previous
    else node.next.previous = node.previous
    node.next = node.previous = null
    this.length--
  }
}

/**
 * Evicts every node whose `since` lies before `after`, then the longest idle until at most `max` are left. `evict` has to
 * remove what it is given. Where nothing is evicted nothing is allocated, however long the list.
 */
export function evictIdle<T extends IdleNode<T>>(
  list: IdleList<T>,
  since: (node: T) => number,
  after: number,
  max: number,
  evict: (node: T, why: 'age' | 'surplus') => void,
): void {
  let node = list.first
  while (node !== null) {
    const next: T | null = node.next
    if (since(node) < after) evict(node, 'age')
    node = next
  }
  while (list.length > max && list.first !== null) evict(list.first, 'surplus')
}
