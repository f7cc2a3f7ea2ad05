/** A rule, compiled: when it holds and what it does. */
import type { Body, Exchange } from 'postern/plugin'

/** The edits of a rule, as they stand in gateway.yaml. */
export interface Edits {
  readonly set: Readonly<Record<string, unknown>>
  readonly default: Readonly<Record<string, unknown>>
  readonly rename: Readonly<Record<string, string>>
  readonly delete: readonly string[]
  readonly models: Readonly<Record<string, string>>
}

export interface Condition {
  readonly provider: readonly string[]
  readonly operation: readonly string[]
  readonly path: readonly string[]
  readonly model: readonly string[]
  readonly upstream: readonly string[]
  readonly header: Readonly<Record<string, string>>
  readonly field: Readonly<Record<string, unknown>>
}

type Seen = Exchange<'provider' | 'claim' | 'model', never>

export interface Rule {
  /** Whether it asks which upstream is asked, and so holds for one attempt only. */
  readonly perAttempt: boolean
  /** Whether it may change the model. */
  readonly mapsModels: boolean
  /** The models it maps, those that are called by a whole name. */
  readonly names: readonly string[]
  /** Whether the client and the provider are such that it could hold, whatever is asked. */
  concerns(exchange: Seen): boolean
  holds(exchange: Seen, body: Body): boolean
  apply(body: Body): void
  /** The model to ask instead, or null. */
  modelFor(model: string): string | null
}

/** Compiles a rule: what is a pattern becomes a comparison, what is a map a list. */
export function compileRule(edits: Edits, when: Condition | null, unless: Condition | null): Rule {
  const sets = Object.entries(edits.set)
  const defaults = Object.entries(edits.default)
  const renames = Object.entries(edits.rename)
  for (const field of [...sets, ...defaults, ...renames].map(([name]) => name).concat(edits.delete)) {
    if (inList.test(field)) throw new Error(`"${field}" leads into a list: only objects can be looked into`)
  }
  const holdsWhen = when ? compileCondition(when) : null
  const holdsUnless = unless && !isEmpty(unless) ? compileCondition(unless) : null
  // What is asked, and of which upstream, makes no difference to which names there are.
  const concerns = when && compileCondition({ ...when, operation: [], path: [], model: [], upstream: [], field: {} })
  return {
    perAttempt: (when?.upstream.length ?? 0) + (unless?.upstream.length ?? 0) > 0,
    mapsModels: Object.keys(edits.models).length > 0 || 'model' in edits.set,
    names: Object.keys(edits.models).filter((name) => !name.endsWith('*')),
    concerns: (exchange) => concerns?.(exchange, emptyHanded) ?? true,
    holds: (exchange, body) => (holdsWhen?.(exchange, body) ?? true) && !(holdsUnless?.(exchange, body) ?? false),
    apply(body) {
      for (const [from, to] of renames) {
        const value = body.get(from)
        if (value === undefined) continue
        if (body.get(to) === undefined) body.set(to, value)
        body.delete(from)
      }
      for (const field of edits.delete) if (body.get(field) !== undefined) body.delete(field)
      for (const [field, value] of defaults) if (body.get(field) === undefined) body.set(field, value)
      for (const [field, value] of sets) body.set(field, value)
    },
    modelFor: compileModels(edits.models),
  }
}

/** For conditions that look into no body. */
const emptyHanded = null as unknown as Body

/** A part of the path that is a number. */
const inList = /(?:^|\.)\d+(?:\.|$)/

type Holds = (exchange: Seen, body: Body) => boolean

function compileCondition(condition: Condition): Holds {
  const tests: Holds[] = []
  const names = (patterns: readonly string[], of: (exchange: Seen) => string | null | undefined) => {
    if (patterns.length === 0) return
    const matches = patterns.map(compilePattern)
    tests.push((exchange) => {
      const name = of(exchange)
      return typeof name === 'string' && matches.some((match) => match(name))
    })
  }
  names(condition.provider, ({ facts }) => facts.provider?.name)
  names(condition.operation, ({ facts }) => facts.claim?.operation)
  names(condition.path, ({ path }) => path)
  names(condition.model, ({ facts }) => facts.model)
  names(condition.upstream, ({ upstream }) => upstream?.name)
  for (const [name, pattern] of Object.entries(condition.header)) {
    names([pattern], ({ headers }) => headers[name.toLowerCase()]?.toString())
  }
  for (const [field, value] of Object.entries(condition.field)) {
    tests.push((_exchange, body) => (value === null ? body.get(field) === undefined : body.get(field) === value))
  }
  return (exchange, body) => tests.every((test) => test(exchange, body))
}

function isEmpty(condition: Condition): boolean {
  return Object.values(condition).every((part: object) => Object.keys(part).length === 0)
}

function compilePattern(pattern: string): (text: string) => boolean {
  if (!pattern.endsWith('*')) return (text) => text === pattern
  const start = pattern.slice(0, -1)
  return (text) => text.startsWith(start)
}

/** An exact name counts before every beginning, a longer beginning before a shorter one. A `*` in the new name is the rest. */
function compileModels(models: Readonly<Record<string, string>>): (model: string) => string | null {
  const exact = new Map(Object.entries(models).filter(([name]) => !name.endsWith('*')))
  const beginnings = Object.entries(models)
    .filter(([name]) => name.endsWith('*'))
    .map(([name, to]) => [name.slice(0, -1), to] as const)
    .toSorted(([one], [other]) => other.length - one.length)
  return (model) => {
    const found = exact.get(model)
    if (found !== undefined) return found
    for (const [start, to] of beginnings) {
      if (model.startsWith(start)) return to.endsWith('*') ? to.slice(0, -1) + model.slice(start.length) : to
    }
    return null
  }
}
