/** A group's routes, compiled: for which models which of its accounts are asked. */
import type { Routes } from './read.ts'

export interface Router {
  /** The ids of the accounts for a model; null where the group has no route for it. */
  accountsFor(model: string): ReadonlySet<number> | null
}

/** An exact name counts before a beginning, a longer beginning before a shorter one. Null where nothing is routed. */
export function routerOf(routes: Routes | undefined): Router | null {
  const exact = new Map<string, ReadonlySet<number>>()
  const beginnings: { readonly beginning: string; readonly ids: ReadonlySet<number> }[] = []
  for (const [pattern, value] of Object.entries(routes ?? {})) {
    const ids = new Set(Array.isArray(value) ? value.map(Number).filter(Number.isSafeInteger) : [])
    if (ids.size === 0) continue
    if (pattern.endsWith('*')) beginnings.push({ beginning: pattern.slice(0, -1), ids })
    else exact.set(pattern, ids)
  }
  if (exact.size + beginnings.length === 0) return null
  beginnings.sort((one, other) => other.beginning.length - one.beginning.length)
  return {
    accountsFor: (model) =>
      exact.get(model) ?? beginnings.find(({ beginning }) => model.startsWith(beginning))?.ids ?? null,
  }
}
