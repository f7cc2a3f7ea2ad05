/**
 * What never leaves the house: credentials in texts, URLs, headers and JSON, masked in one place for every sink (log,
 * captured errors, explain, the admin listener). Compiled once; each function costs what its input's length costs.
 */
import type { Headers } from '../plugin.ts'
import { looksLikeJson, redactJsonText, type JsonRules } from './redact-json.ts'
import { compileKeyRules } from './redact-keys.ts'
import { compileTextRules, lineMayTell } from './redact-text.ts'
import { compileUrlRules } from './redact-url.ts'

export { trimRequest } from './redact-trim.ts'

export interface RedactorOptions {
  /** Further names whose values are secret, in JSON, headers, URLs and text; `-`, `_` and capitals make no difference. */
  readonly keys?: readonly string[]
  /** Further patterns; what they match is masked whole. Whoever writes one answers for the time it takes. */
  readonly extra?: readonly (RegExp | string)[]
}

export interface RedactJsonOptions {
  /** Values nested deeper are replaced by `<depth limit exceeded>`. 32, as the Go system had it. */
  readonly depth?: number
}

export interface Redactor {
  /** Free text: API keys, JWTs, PEM blocks, credentials in URLs, `name=value`. JSON is treated as JSON. */
  readonly text: (text: string) => string
  /**
   * A line of a log, JSON as pino spells it. Names count as they do in text, so that counts of tokens stay. A line without
   * any sign of a secret costs one look.
   */
  readonly line: (line: string) => string
  /** A URL, or a path with its query. */
  readonly url: (url: string) => string
  /** A copy. */
  readonly headers: (headers: Readonly<Headers>) => Headers
  /**
   * JSON with the values of secret keys as `"[REDACTED]"` and every string redacted as text. What is not replaced stays
   * to the byte, and where nothing is, the same Buffer comes back. Anything but JSON becomes one string that says so.
   */
  readonly json: (bytes: Buffer, options?: RedactJsonOptions) => Buffer
}

/** Compiles a redactor; one for a configuration. Throws SyntaxError for a pattern that is none. */
export function makeRedactor({ keys = [], extra = [] }: RedactorOptions = {}): Redactor {
  const rules = compileKeyRules(keys)
  const patterns = extra.map((one) =>
    one instanceof RegExp ? new RegExp(one, withG(one.flags)) : new RegExp(one, 'g'),
  )
  const plain = compileTextRules(rules, patterns)
  const jsonRules: JsonRules = { keys: rules, text: plain }
  const text = (it: string) => (looksLikeJson(it) ? (redactJsonText(it, jsonRules, deepest) ?? plain(it)) : plain(it))
  const lineRules: JsonRules = { keys: { ...rules, isSecret: rules.isSecretInText }, text: plain }
  const isOwn = keys.length + extra.length > 0
  return {
    text,
    line: (line) =>
      isOwn || lineMayTell.test(line) ? (redactJsonText(line, lineRules, deepest) ?? plain(line)) : line,
    url: compileUrlRules(rules, plain),
    headers(headers) {
      const clean: Headers = {}
      for (const [name, value] of Object.entries(headers)) {
        // Numbers about tokens, such as x-ratelimit-remaining-tokens, are what one looks for after a 429.
        const hides = rules.isSecret(name) && !name.includes('ratelimit')
        if (typeof value === 'string') clean[name] = hides ? '***' : text(value)
        else clean[name] = value?.map((one) => (hides ? '***' : text(one)))
      }
      return clean
    },
    json(bytes, { depth = deepest } = {}) {
      const before = bytes.toString()
      const clean = redactJsonText(before, jsonRules, depth)
      if (clean === null) return Buffer.from(notJson)
      return clean === before ? bytes : Buffer.from(clean)
    },
  }
}

const deepest = 32
const notJson = '"<non-json payload redacted>"'

function withG(flags: string): string {
  return flags.includes('g') ? flags : `${flags}g`
}

const standard = makeRedactor()
/** `Redactor.text` by the rules that always hold. */
export const redactText = standard.text
/** `Redactor.line` by the rules that always hold. */
export const redactLine = standard.line
/** Whether `redactLine` would have to look closer at a line with this text in it, spelt as JSON. */
export const mayTell = (spelt: string): boolean => lineMayTell.test(spelt)
/** `Redactor.url` by the rules that always hold. */
export const redactUrl = standard.url
/** `Redactor.headers` by the rules that always hold. */
export const redactHeaders = standard.headers
/** `Redactor.json` by the rules that always hold. */
export const redactJson = standard.json
