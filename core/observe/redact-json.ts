/** Secrets in JSON, replaced in its text: what is not replaced stays as it is spelt, numbers of any length included. */
import type { KeyRules } from './redact-keys.ts'

/** What stands in JSON where a secret stood. */
const redacted = '"[REDACTED]"'
const tooDeep = '"<depth limit exceeded>"'

export interface JsonRules {
  readonly keys: KeyRules
  /** Gives back the same text where there is nothing to hide. */
  readonly text: (text: string) => string
}

/** The JSON with its secrets replaced, the same string where it has none; null where it is not one whole JSON value. */
export function redactJsonText(text: string, rules: JsonRules, deepest: number): string | null {
  return new Walk(text, rules, deepest).run()
}

class Walk {
  readonly #text: string
  readonly #rules: JsonRules
  readonly #deepest: number
  #at = 0
  #clean = ''
  /** What stands before has been copied or replaced. */
  #copied = 0
  /** The string walked last has escapes. */
  #isEscaped = false

  constructor(text: string, rules: JsonRules, deepest: number) {
    this.#text = text
    this.#rules = rules
    this.#deepest = deepest
  }

  run(): string | null {
    this.#space()
    if (!this.#value(1)) return null
    this.#space()
    if (this.#at !== this.#text.length) return null
    return this.#copied === 0 ? this.#text : this.#clean + this.#text.slice(this.#copied)
  }

  /** Walks the value that begins here; false where it is none. */
  #value(depth: number): boolean {
    const code = this.#text.charCodeAt(this.#at)
    if (code === quote) return this.#stringValue(depth)
    if (code === openBrace || code === openBracket) {
      if (depth > this.#deepest) return this.#replaceValue(tooDeep)
      return code === openBrace ? this.#object(depth) : this.#array(depth)
    }
    return this.#scalar()
  }

  #object(depth: number): boolean {
    this.#at++
    this.#space()
    if (this.#takes(closeBrace)) return true
    for (;;) {
      const start = this.#at
      if (!this.#string()) return false
      const name = this.#spelt(start)
      const clean = this.#rules.text(name)
      if (clean !== name) this.#replace(start, JSON.stringify(clean))
      this.#space()
      if (!this.#takes(colon)) return false
      this.#space()
      if (!(this.#rules.keys.isSecret(name) ? this.#replaceValue(redacted) : this.#value(depth + 1))) return false
      this.#space()
      if (this.#takes(closeBrace)) return true
      if (!this.#takes(comma)) return false
      this.#space()
    }
  }

  #array(depth: number): boolean {
    this.#at++
    this.#space()
    if (this.#takes(closeBracket)) return true
    for (;;) {
      if (!this.#value(depth + 1)) return false
      this.#space()
      if (this.#takes(closeBracket)) return true
      if (!this.#takes(comma)) return false
      this.#space()
    }
  }

  #stringValue(depth: number): boolean {
    const start = this.#at
    if (!this.#string()) return false
    const value = this.#spelt(start)
    const inner = this.#innerJson(value, depth)
    const clean = inner ?? this.#rules.text(value)
    if (clean !== value) this.#replace(start, JSON.stringify(clean))
    return true
  }

  /** A string that is itself JSON, such as the arguments of a tool call. */
  #innerJson(value: string, depth: number): string | null {
    if (!looksLikeJson(value) || depth > this.#deepest) return null
    return redactJsonText(value, this.#rules, this.#deepest - depth)
  }

  /** Crosses a string; false where it has no end or is not spelt as JSON spells. */
  #string(): boolean {
    const text = this.#text
    if (text.charCodeAt(this.#at) !== quote) return false
    this.#isEscaped = false
    for (let at = this.#at + 1; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === quote) {
        this.#at = at + 1
        return true
      }
      if (code < 0x20) return false
      if (code === backslash) {
        this.#isEscaped = true
        escape.lastIndex = at
        if (!escape.test(text)) return false
        at = escape.lastIndex - 1
      }
    }
    return false
  }

  /** What the string between `start` and here says. */
  #spelt(start: number): string {
    if (!this.#isEscaped) return this.#text.slice(start + 1, this.#at - 1)
    return JSON.parse(this.#text.slice(start, this.#at)) as string // a string by its quotes
  }

  #scalar(): boolean {
    scalar.lastIndex = this.#at
    if (!scalar.test(this.#text)) return false
    this.#at = scalar.lastIndex
    return true
  }

  /** Puts something else in the place of the whole value that begins here. */
  #replaceValue(json: string): boolean {
    const start = this.#at
    const end = valueEnd(this.#text, start)
    try {
      JSON.parse(this.#text.slice(start, end))
    } catch {
      return false
    }
    this.#at = end
    this.#replace(start, json)
    return true
  }

  #replace(start: number, json: string): void {
    this.#clean += this.#text.slice(this.#copied, start) + json
    this.#copied = this.#at
  }

  #takes(code: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== code) return false
    this.#at++
    return true
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }
}

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const colon = 0x3a
const comma = 0x2c
const escape = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

/** Whether it is worth a try to read the text as JSON. */
export function looksLikeJson(text: string): boolean {
  return /^\s*[{[]/.test(text)
}

const structure = /["{}[\]]|[,\s]/g

/** Where the value that begins at `from` ends, by its brackets and quotes alone, however deep it is. */
function valueEnd(text: string, from: number): number {
  let depth = 0
  structure.lastIndex = from
  for (let found = structure.exec(text); found !== null; found = structure.exec(text)) {
    const sign = found[0]
    if (sign === '"') structure.lastIndex = stringEnd(text, structure.lastIndex)
    else if (sign === '{' || sign === '[') depth++
    else if (sign === '}' || sign === ']') depth--
    else if (depth > 0) continue
    else return found.index
    if (depth < 0) return found.index
    if (depth === 0) return structure.lastIndex
  }
  return text.length
}

/** Behind the quote that closes the string whose inside begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = text.indexOf('"', from)
  while (at !== -1) {
    let escapes = 0
    while (text[at - 1 - escapes] === '\\' && at - escapes > from) escapes++
    if (escapes % 2 === 0) return at + 1
    at = text.indexOf('"', at + 1)
  }
  return text.length
}
