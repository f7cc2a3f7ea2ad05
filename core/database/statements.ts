/**
 * SQL taken apart as PostgreSQL's own scanner does it, as far as a runner of migrations needs: what is code, what is a string,
 * a comment or a quoted name, and where a statement ends. Substring search answers none of these.
 */

/** `word`: a keyword or a bare name; `name`: a quoted one; `symbol`: one character of anything else. */
export type TokenKind = 'word' | 'name' | 'string' | 'number' | 'parameter' | 'symbol' | 'comment'

export interface Token {
  readonly kind: TokenKind
  /** As it stands in the text. */
  readonly text: string
  /** A word in lower case, a quoted name without its quotes; else the text. */
  readonly value: string
  /** Offset of its first character. */
  readonly start: number
  /** Counted from 1. */
  readonly line: number
}

export interface Statement {
  /** From its first token to its last, comments in between included, without the semicolon. */
  readonly text: string
  /** Offset of its first character in the file. */
  readonly start: number
  /** The line of its first token, counted from 1. */
  readonly line: number
  /** Without comments. */
  readonly tokens: readonly Token[]
}

/** Text that ends inside a string, a quoted name or a comment. */
export class UnterminatedError extends Error {
  readonly line: number
  constructor(what: string, line: number) {
    super(`${what} that begins here never ends`)
    this.line = line
  }
}

/** The statements of a text. Throws UnterminatedError. */
export function splitStatements(text: string): Statement[] {
  const statements: Statement[] = []
  let tokens: Token[] = []
  let block = new Block()
  const end = (): void => {
    const first = tokens[0]
    const last = tokens.at(-1)
    if (first && last) {
      const { start, line } = first
      statements.push({ text: text.slice(start, last.start + last.text.length), start, line, tokens })
    }
    tokens = []
    block = new Block()
  }
  for (const token of tokenize(text)) {
    if (token.kind === 'comment') continue
    if (token.value === ';' && token.kind === 'symbol' && block.isClosed) {
      end()
      continue
    }
    tokens.push(token)
    block.take(token, tokens)
  }
  end()
  return statements
}

/** The tokens of a text in their order, comments too, whitespace left out. Throws UnterminatedError. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  let line = 1
  while (at < text.length) {
    if (!isSpace(text.charCodeAt(at))) {
      const [kind, end] = scan(text, at, line)
      const body = text.slice(at, end)
      tokens.push({ kind, text: body, value: valueOf(kind, body), start: at, line })
      line += newlines(body)
      at = end
    } else {
      if (text.charCodeAt(at) === 10) line++
      at++
    }
  }
  return tokens
}

/** Whether a semicolon ends the statement: not inside parentheses, nor in the body of a function written in SQL. */
class Block {
  #parentheses = 0
  /** How many BEGIN ATOMIC and CASE wait for their END. */
  #begun = 0

  get isClosed(): boolean {
    return this.#parentheses === 0 && this.#begun === 0
  }

  take(token: Token, before: readonly Token[]): void {
    if (token.kind === 'symbol') {
      if (token.value === '(') this.#parentheses++
      if (token.value === ')' && this.#parentheses > 0) this.#parentheses--
    } else if (token.kind === 'word' && this.#parentheses === 0) {
      // The grammar has routines made in the bodies of routines.
      const isBody = token.value === 'atomic' && before.at(-2)?.value === 'begin'
      if (isBody && (this.#begun > 0 || makesRoutine(before))) this.#begun++
      else if (this.#begun > 0 && token.value === 'case') this.#begun++
      else if (this.#begun > 0 && token.value === 'end') this.#begun--
    }
  }
}

function makesRoutine([create, ...rest]: readonly Token[]): boolean {
  if (create?.value !== 'create') return false
  const kind = rest[0]?.value === 'or' && rest[1]?.value === 'replace' ? rest[2] : rest[0]
  return kind?.value === 'function' || kind?.value === 'procedure'
}

const word = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y
const number = /\d[\d_]*(?:\.[\d_]+)?(?:[eE][+-]?\d+)?[A-Za-z0-9_]*/y
const parameter = /\$\d+/y
const dollar = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y
// The quote that ends a string has no other behind it: a string that never ends must not be found to end before.
const plainString = /'[^']*(?:''[^']*)*'(?!')/y
const escapeString = /'[^'\\]*(?:(?:''|\\[^])[^'\\]*)*'(?!')/y
/**
 * A string goes on behind a line break; one with escapes goes on as one with escapes. A comment goes up to the end of its line, and no
 * shorter: `------` would else be comments in exponentially many ways.
 */
const continued = /(?:[ \t\f\v]|--[^\n\r]*(?=[\n\r]))*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*(?=')/y
const quotedName = /"[^"]*(?:""[^"]*)*"(?!")/y

/** The kind of the token that begins at `at`, and the offset behind it. */
function scan(text: string, at: number, line: number): [TokenKind, number] {
  const first = text[at]
  const second = text[at + 1]
  if (first === '-' && second === '-') return ['comment', lineEnd(text, at)]
  if (first === '/' && second === '*') return ['comment', commentEnd(text, at, line)]
  if (first === "'") return ['string', match(plainString, text, at) ?? unterminated('a string', line)]
  if (first === '"') return ['name', match(quotedName, text, at) ?? unterminated('a quoted name', line)]
  if (first === '$') {
    const open = match(dollar, text, at)
    if (open !== null) return ['string', dollarEnd(text, at, open, line)]
    const end = match(parameter, text, at)
    return end === null ? ['symbol', at + 1] : ['parameter', end]
  }
  if (second === "'" && /[eE]/.test(first!)) return ['string', escapeEnd(text, at + 1, line)]
  if (second === "'" && /[bBxXnN]/.test(first!)) {
    return ['string', match(plainString, text, at + 1) ?? unterminated('a string', line)]
  }
  if (second === '&' && /[uU]/.test(first!)) {
    if (text[at + 2] === "'") return ['string', match(plainString, text, at + 2) ?? unterminated('a string', line)]
    if (text[at + 2] === '"') return ['name', match(quotedName, text, at + 2) ?? unterminated('a quoted name', line)]
  }
  const end = match(word, text, at)
  if (end !== null) return ['word', end]
  const digits = match(number, text, at)
  return digits === null ? ['symbol', at + 1] : ['number', digits]
}

function match(pattern: RegExp, text: string, at: number): number | null {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : null
}

function lineEnd(text: string, at: number): number {
  for (let end = at; end < text.length; end++) {
    if (text[end] === '\n' || text[end] === '\r') return end
  }
  return text.length
}

/** Comments between slashes and stars nest. */
function commentEnd(text: string, at: number, line: number): number {
  let depth = 0
  for (let end = at; end < text.length - 1; end++) {
    if (text[end] === '/' && text[end + 1] === '*') depth++
    else if (text[end] === '*' && text[end + 1] === '/') depth--
    else continue
    end++
    if (depth === 0) return end + 1
  }
  return unterminated('a comment', line)
}

function dollarEnd(text: string, at: number, open: number, line: number): number {
  const tag = text.slice(at, open)
  const close = text.indexOf(tag, open)
  return close < 0 ? unterminated(`a string quoted with ${tag}`, line) : close + tag.length
}

function escapeEnd(text: string, at: number, line: number): number {
  for (let from = at; ;) {
    const end = match(escapeString, text, from) ?? unterminated('a string', line)
    const next = match(continued, text, end)
    if (next === null) return end
    from = next
  }
}

function unterminated(what: string, line: number): never {
  throw new UnterminatedError(what, line)
}

/** PostgreSQL folds bare names in ASCII only. */
function valueOf(kind: TokenKind, text: string): string {
  if (kind === 'word') return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
  if (kind === 'name') return text.slice(text.indexOf('"') + 1, -1).replaceAll('""', '"')
  return text
}

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13)
}

function newlines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}
