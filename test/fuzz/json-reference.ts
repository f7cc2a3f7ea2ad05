/**
 * JSON read and edited the plain way, character by character (RFC 8259), sharing nothing with the gateway's walker or with V8. Being
 * JavaScript it has coverage, which leads the fuzzer to what the walker's WebAssembly cannot tell of.
 */

/** A parsed object. */
export type Parsed = Record<string, unknown>

/** What the text says where it is one whole object, the last of several members of a name; null where it is not. */
export function readObject(text: string): Parsed | null {
  const reader = new Reader(text)
  try {
    const value = reader.whole()
    return isObject(value) ? value : null
  } catch (error) {
    if (error instanceof NoJson) return null
    throw error
  }
}

/** Sets a field of the object, which a dot leads into, or deletes it where the value is undefined. */
export function edit(object: Parsed, field: string, value: unknown): void {
  const path = field.split('.')
  const name = path.pop()!
  let at = object
  for (const step of path) {
    const next = Object.hasOwn(at, step) ? at[step] : undefined
    if (isObject(next)) at = next
    else if (value === undefined) return
    else {
      const made: Parsed = {}
      define(at, step, made)
      at = made
    }
  }
  if (value === undefined) delete at[name]
  else define(at, name, structuredClone(value))
}

export function isObject(value: unknown): value is Parsed {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

class NoJson extends Error {
  override stack = ''
}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): unknown {
    const value = this.#value()
    this.#space()
    if (this.#at < this.#text.length) throw new NoJson()
    return value
  }

  #value(): unknown {
    this.#space()
    const first = this.#text[this.#at]
    if (first === '{') return this.#object()
    if (first === '[') return this.#array()
    if (first === '"') return this.#string()
    if (first === 't') return this.#word('true', true)
    if (first === 'f') return this.#word('false', false)
    if (first === 'n') return this.#word('null', null)
    return this.#number()
  }

  #object(): Parsed {
    const object: Parsed = {}
    this.#at++
    if (this.#has('}')) return object
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') throw new NoJson()
      const name = this.#string()
      if (!this.#has(':')) throw new NoJson()
      define(object, name, this.#value())
    } while (this.#has(','))
    if (!this.#has('}')) throw new NoJson()
    return object
  }

  #array(): unknown[] {
    const array: unknown[] = []
    this.#at++
    if (this.#has(']')) return array
    do array.push(this.#value())
    while (this.#has(','))
    if (!this.#has(']')) throw new NoJson()
    return array
  }

  #string(): string {
    let value = ''
    for (this.#at++; this.#at < this.#text.length;) {
      const character = this.#text[this.#at++]!
      if (character === '"') return value
      if (character < ' ') throw new NoJson()
      value += character === '\\' ? this.#escape() : character
    }
    throw new NoJson()
  }

  #escape(): string {
    const letter = this.#text[this.#at++] ?? ''
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at, this.#at + 4)
      if (!/^[0-9A-Fa-f]{4}$/.test(digits)) throw new NoJson()
      this.#at += 4
      // A code unit, not a code point: half a pair may stand alone.
      return String.fromCharCode(Number.parseInt(digits, 16))
    }
    if (!Object.hasOwn(escapes, letter)) throw new NoJson()
    return escapes[letter]!
  }

  #number(): number {
    const start = this.#at
    if (this.#text[this.#at] === '-') this.#at++
    if (this.#text[this.#at] === '0') this.#at++
    else this.#digits()
    if (this.#text[this.#at] === '.') {
      this.#at++
      this.#digits()
    }
    if (this.#text[this.#at] === 'e' || this.#text[this.#at] === 'E') {
      this.#at++
      if (this.#text[this.#at] === '-' || this.#text[this.#at] === '+') this.#at++
      this.#digits()
    }
    return Number(this.#text.slice(start, this.#at))
  }

  #digits(): void {
    const start = this.#at
    while (isDigit(this.#text[this.#at])) this.#at++
    if (this.#at === start) throw new NoJson()
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw new NoJson()
    this.#at += word.length
    return value
  }

  #has(character: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #space(): void {
    for (;;) {
      const character = this.#text[this.#at]
      if (character !== ' ' && character !== '\n' && character !== '\r' && character !== '\t') return
      this.#at++
    }
  }
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= '0' && character <= '9'
}

/** Assignment would not make a member called __proto__. */
function define(object: Parsed, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
}
