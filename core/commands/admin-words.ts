/** How an operator's command is described, and how what was given with it is read. */
import { parseArgs } from 'node:util'
import { parseDuration } from '../config/formats.ts'
import type { Config } from '../config/load.ts'
import type { Database } from '../database/database.ts'

/** Called wrongly; exit code 2. */
export class Misuse extends Error {
  override name = 'Misuse'
}

export interface Option {
  /** What stands behind it in the help; absent: it stands alone. */
  readonly value?: string
  readonly says: string
}

/** One thing that can be done. */
export interface Verb {
  /** Names of the words behind it; the last may be `…`: as many as come. */
  readonly words: readonly string[]
  readonly says: string
  readonly options: Readonly<Record<string, Option>>
  run(call: Call): Promise<Told>
}

export interface Call {
  readonly words: readonly string[]
  readonly given: Given
  readonly db: Database
  /** gateway.yaml. Rejects where it cannot be read. */
  readonly config: () => Promise<Config>
}

/** What a command has to say, to a program and to a person. */
export interface Told {
  readonly json: object
  readonly lines: readonly string[]
}

/** The options that were given. Each reader throws Misuse for what cannot be read. */
export class Given {
  readonly #values: Readonly<Record<string, string | boolean | undefined>>

  constructor(values: Readonly<Record<string, string | boolean | undefined>>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  /** One that the command cannot do without. */
  needed(name: string): string {
    const value = this.text(name)
    if (value === undefined || value === '') throw new Misuse(`--${name} is missing.`)
    return value
  }

  /** A text, or null where it says `none`. */
  orNone(name: string): string | null | undefined {
    const value = this.text(name)
    return value === 'none' ? null : value
  }

  whole(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (!/^-?\d{1,9}$/.test(value)) throw new Misuse(`--${name} must be a whole number, not ${JSON.stringify(value)}.`)
    return Number(value)
  }

  /** A decimal number, as the text it is. */
  decimal(name: string): string | undefined {
    const value = this.text(name)
    if (value !== undefined && !isDecimal(value))
      throw new Misuse(`--${name} must be a number such as 12.50, not ${JSON.stringify(value)}.`)
    return value
  }

  decimalOrNone(name: string): string | null | undefined {
    return this.orNone(name) === null ? null : this.decimal(name)
  }

  /** Separated by commas; `none` is the empty list. */
  list(name: string): readonly string[] | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (value === 'none') return []
    return value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }

  dateOrNone(name: string): Date | null | undefined {
    const value = this.orNone(name)
    if (value === null || value === undefined) return value
    const date = new Date(value)
    if (!/^\d{4}-\d\d-\d\d/.test(value) || Number.isNaN(date.getTime()))
      throw new Misuse(`--${name} must be a date such as 2027-01-31 or 2027-01-31T12:00:00Z, or none.`)
    return date
  }

  /** In ms. */
  duration(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const ms = parseDuration(value)
    if (ms === null || ms <= 0) throw new Misuse(`--${name} must be a duration such as 30s, 10m or 2h.`)
    return ms
  }

  json(name: string): unknown {
    const value = this.text(name)
    if (value === undefined) return undefined
    try {
      return JSON.parse(value) as unknown
    } catch {
      throw new Misuse(`--${name} must be JSON.`)
    }
  }
}

export function isDecimal(text: string): boolean {
  return /^-?\d{1,10}(\.\d{1,10})?$/.test(text)
}

/** Options that every command has. */
export const everyone: Readonly<Record<string, Option>> = {
  config: { value: 'FILE', says: 'The configuration, which names the database. Default: gateway.yaml' },
  database: { value: 'URL', says: 'The database, where it is not the one of the file' },
  json: { says: 'Print as JSON' },
  help: { says: 'Print this' },
}

/** Options of every list. */
export const paging: Readonly<Record<string, Option>> = {
  limit: { value: 'N', says: 'So many at most. Default: 1000' },
  after: { value: 'ID', says: 'Those behind this id' },
}

export function pageOf(given: Given): { after: number; limit: number } {
  return { after: given.whole('after') ?? 0, limit: Math.max(1, given.whole('limit') ?? 1000) }
}

/** Splits what was written behind a verb. Throws Misuse. */
export function readWords(verb: Verb, words: readonly string[]): { words: readonly string[]; given: Given } {
  const options = Object.fromEntries(
    Object.entries({ ...everyone, ...verb.options }).map(([name, { value }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(name === 'config' ? { short: 'c' } : name === 'help' ? { short: 'h' } : {}),
      },
    ]),
  )
  let parsed
  try {
    parsed = parseArgs({ args: [...words], options, allowPositionals: true })
  } catch (error) {
    throw new Misuse(error instanceof Error ? `${error.message.split(/\.\s/)[0]}.` : String(error))
  }
  const { positionals, values } = parsed
  const given = new Given(values)
  if (given.has('help')) return { words: positionals, given }
  const hasRest = verb.words.at(-1) === '…'
  const needed = verb.words.filter((word) => word !== '…')
  if (positionals.length < needed.length) throw new Misuse(`${needed[positionals.length]} is missing.`)
  if (positionals.length > needed.length && !hasRest)
    throw new Misuse(`"${positionals[needed.length]}" is one word too many.`)
  return { words: positionals, given }
}
