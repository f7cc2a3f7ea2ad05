import type { Headers } from 'postern/plugin'

/** Says of a header's name, in lower case, whether it passes. */
export type Rule = (name: string) => boolean

export interface Lists {
  /** Exact names that always pass. */
  readonly kept: readonly string[]
  /** Wins over `allow`. */
  readonly remove: readonly string[]
  readonly allow: readonly string[]
}

/** Compiles the lists. Throws where one wants to remove by name what always stays; a `*` just does not reach it. */
export function rule({ kept, remove, allow }: Lists): Rule {
  const stays = new Set(kept)
  const removed = matcher(remove)
  const allowed = matcher(allow)
  const contradiction = remove.find((name) => stays.has(name.toLowerCase()))
  if (contradiction !== undefined) throw new Error(`${contradiction} always stays: take it out of remove`)
  return (name) => stays.has(name) || (!removed(name) && allowed(name))
}

/** A fresh object with the headers that pass: cheaper than deleting, which leaves V8 a slow one behind. */
export function keepOnly(headers: Readonly<Headers>, passes: Rule): Headers {
  const kept: Headers = {}
  for (const name in headers) if (passes(name)) kept[name] = headers[name]
  return kept
}

function matcher(patterns: readonly string[]): Rule {
  const lower = patterns.map((pattern) => pattern.toLowerCase())
  const exact = new Set(lower.filter((pattern) => !pattern.endsWith('*')))
  const prefixes = lower.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
}
