/** Holds what happened against what was expected. */
import { isDeepStrictEqual } from 'node:util'
import type { Asked } from '../testing/upstream.ts'
import type { TestCase } from './test-file.ts'

/** What became of a request. */
export interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** Undefined where it is no JSON. */
  readonly body: unknown
  readonly asked: readonly { readonly upstream: string; readonly asked: Asked }[]
  /** Of the gateway's log. */
  readonly errors: readonly string[]
}

/** What was expected at a place of `expect`, and is otherwise. */
export interface Miss {
  /** From the test down. */
  readonly path: readonly string[]
  readonly what: string
  readonly expected: string
  readonly got: string
}

/** Everything that is otherwise, in the order of the schema. */
export function misses({ expect }: TestCase, seen: Seen): readonly Miss[] {
  const { status, headers, body, text, asked, sent } = expect
  const found: Miss[] = []
  const miss = (path: readonly string[], what: string, expected: unknown, got: unknown) =>
    found.push({ path: ['expect', ...path], what, expected: shown(expected), got: shown(got) })
  if (status !== undefined && status !== seen.status) miss(['status'], 'the status', status, seen.status)
  found.push(...headerMisses(['expect', 'headers'], 'the answer', headers, seen.headers))
  found.push(...fieldMisses(['expect', 'body'], 'the answer', body, seen.body))
  if (text !== undefined && !seen.text.includes(text)) miss(['text'], 'the text of the answer', text, seen.text)
  const names = seen.asked.map(({ upstream }) => upstream)
  if (asked !== undefined && !isDeepStrictEqual([...asked], names)) miss(['asked'], 'who was asked', asked, names)
  if (!sent) return found
  const last = seen.asked.at(-1)?.asked
  if (!last) miss(['sent'], 'what was sent', 'a request', 'nobody was asked')
  if (!last) return found
  if (sent.path !== undefined && sent.path !== last.url)
    miss(['sent', 'path'], 'the path that was sent', sent.path, last.url)
  const flat = Object.fromEntries(Object.entries(last.headers).map(([name, value]) => [name, String(value)]))
  found.push(...headerMisses(['expect', 'sent', 'headers'], 'what was sent', sent.headers, flat))
  found.push(...fieldMisses(['expect', 'sent', 'body'], 'what was sent', sent.body, jsonOf(last.body.toString('utf8'))))
  return found
}

/** Undefined where a text is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function headerMisses(
  path: readonly string[],
  of: string,
  expected: Readonly<Record<string, string | null>> = {},
  got: Readonly<Record<string, string>>,
): Miss[] {
  return Object.entries(expected).flatMap(([name, wanted]) => {
    const value = got[name.toLowerCase()]
    if (wanted === null ? value === undefined : value !== undefined && fits(wanted, value)) return []
    return [{ path: [...path, name], what: `${name} of ${of}`, expected: shown(wanted), got: shown(value) }]
  })
}

/** `/^a/` is a pattern, everything else is the value itself. */
function fits(wanted: string, value: string): boolean {
  const [, pattern] = /^\/(.+)\/$/.exec(wanted) ?? []
  return pattern === undefined ? wanted === value : new RegExp(pattern).test(value)
}

function fieldMisses(
  path: readonly string[],
  of: string,
  expected: Readonly<Record<string, unknown>> = {},
  document: unknown,
): Miss[] {
  return Object.entries(expected).flatMap(([field, wanted]) => {
    const value = fieldOf(document, field)
    if (isDeepStrictEqual(plain(wanted), value ?? null)) return []
    return [{ path: [...path, field], what: `${field} of ${of}`, expected: shown(wanted), got: shown(value) }]
  })
}

/** `choices.0.message`: dots lead into maps and lists. */
function fieldOf(document: unknown, field: string): unknown {
  let value = document
  for (const step of field.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step] // it has it, as was just asked
  }
  return value
}

function plain(value: unknown): unknown {
  return value === undefined ? null : (JSON.parse(JSON.stringify(value)) as unknown)
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length > 400 ? `${text.slice(0, 400)}…` : text
}
