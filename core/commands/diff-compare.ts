/** What differs between two configurations, both without their secrets. */
import { isDeepStrictEqual } from 'node:util'
import type { Masked } from '../admin-configuration.ts'

/** One difference. `path`: `limits.body`, `upstreams.claude-a.priority`, `plugins.failover.attempts`. */
export interface Difference {
  readonly kind: 'added' | 'removed' | 'changed' | 'moved'
  readonly path: string
  readonly was?: unknown
  readonly is?: unknown
}

/** Everything, in the order of the file: settings, upstreams, keys, plugins. */
export function differences(old: Masked, next: Masked): readonly Difference[] {
  return [
    ...changes('', old.settings, next.settings),
    ...named('upstreams', entriesOf(old.upstreams, nameOf), entriesOf(next.upstreams, nameOf)),
    ...named('keys', old.keys.map(pair), next.keys.map(pair)),
    ...pluginChanges(numbered(old.plugins), numbered(next.plugins)),
  ]
}

type Entry = readonly [name: string, value: unknown]

function entriesOf(list: readonly unknown[], name: (item: unknown) => string): Entry[] {
  return list.map((item) => [name(item), item])
}

function nameOf(item: unknown): string {
  return String((item as { name?: unknown }).name) // the schema of upstreams asks for one
}

const pair = (name: string): Entry => [name, null]

/** A plugin that is there several times is `openai`, `openai (2)`, … */
function numbered(plugins: Masked['plugins']): Entry[] {
  const seen = new Map<string, number>()
  return plugins.map(({ name, options }) => {
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return [count === 1 ? name : `${name} (${count})`, options]
  })
}

/** What has names and no order that counts. */
function named(base: string, old: readonly Entry[], next: readonly Entry[]): Difference[] {
  const [were, are] = [new Map(old), new Map(next)]
  return [
    ...old.filter(([name]) => !are.has(name)).map(([name]) => ({ kind: 'removed', path: `${base}.${name}` }) as const),
    ...next.flatMap(([name, is]): Difference[] =>
      were.has(name) ? changes(`${base}.${name}`, were.get(name), is) : [{ kind: 'added', path: `${base}.${name}` }],
    ),
  ]
}

/** The list of plugins: its order is what it says. */
function pluginChanges(old: readonly Entry[], next: readonly Entry[]): Difference[] {
  const [were, are] = [new Map(old), new Map(next)]
  const moved = movedOf(
    old.map(([name]) => name).filter((name) => are.has(name)),
    next.map(([name]) => name).filter((name) => were.has(name)),
  )
  const places = next.map(([name]) => name)
  return [
    ...named('plugins', old, next),
    ...moved.map((name): Difference => ({
      kind: 'moved',
      path: `plugins.${name}`,
      was: old.findIndex(([known]) => known === name) + 1,
      is: places.indexOf(name) + 1,
    })),
  ]
}

/** The fewest names that have to move to make one order of the other: those outside of the longest common subsequence. */
function movedOf(old: readonly string[], next: readonly string[]): string[] {
  const longest: string[][][] = Array.from({ length: old.length + 1 }, () =>
    Array.from({ length: next.length + 1 }, () => []),
  )
  for (let row = old.length - 1; row >= 0; row--) {
    for (let column = next.length - 1; column >= 0; column--) {
      const [below, beside] = [longest[row + 1]![column]!, longest[row]![column + 1]!]
      const isSame = old[row] === next[column]
      longest[row]![column] = isSame
        ? [old[row]!, ...longest[row + 1]![column + 1]!]
        : below.length >= beside.length
          ? below
          : beside
    }
  }
  return next.filter((name) => !longest[0]![0]!.includes(name))
}

/** The members that differ, each with its path; maps are looked into, lists are one thing. */
function changes(path: string, was: unknown, is: unknown): Difference[] {
  if (isDeepStrictEqual(was, is)) return []
  if (!isMap(was) || !isMap(is)) return [{ kind: 'changed', path, was: was ?? null, is: is ?? null }]
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap((key) =>
    changes(path === '' ? key : `${path}.${key}`, was[key], is[key]),
  )
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
