/**
 * Secrets in running text. Every rule is one pass: no position is looked at more than a fixed number of times, whatever
 * the text, so a hostile one costs what its length costs.
 */
import type { KeyRules } from './redact-keys.ts'

/** What stands in running text where a secret stood. */
const mask = '***'

/** Compiles the rules for texts that are no JSON; `extra` patterns go whole. */
export function compileTextRules(keys: KeyRules, extra: readonly RegExp[] = []): (text: string) => string {
  return (text) => {
    let clean = text
    if (suspicious.test(text)) {
      clean = hidePem(clean)
      if (clean.includes('://')) clean = clean.replace(userInfo, `://${mask}@`)
      clean = clean.replace(shapes, `$1${mask}`)
      if (clean.includes('AIza')) clean = clean.replace(googleKey, `AIza${mask}`)
      clean = clean.replace(bearer, `$1${mask}`)
      if (clean.includes('asic')) clean = clean.replace(basic, `$1${mask}`)
      clean = hideJwts(clean)
      clean = hideAssigned(clean, keys)
    }
    for (const pattern of extra) clean = clean.replace(pattern, mask)
    return clean
  }
}

/** Text without any of this holds nothing that the rules below would find: most short strings end here. */
const suspicious = /[:=_-]|%3|eyJ|AIza|ya29|A[KS]IA|[Bb][Ee][Aa][Rr]|[Bb]asic/

/**
 * A line of JSON without any of this holds nothing that the rules would find, its member names included: a part of each name
 * that is secret, of each shape, of each sign of a credential in a URL. In JSON nearly every text is `suspicious`.
 */
export const lineMayTell =
  /[Kk][Ee][NnYy]|[Cc][Rr][Ee][TtDd]|[Ss][Ss][WwPp]|[Hh][Oo][Rr][Ii]|[Oo][Oo][Kk]|[Jj][Ww][Tt]|[Nn][Aa][Tt][Uu]|[Rr][Ii][Ff][Ii]|[?&@]|%[23]|"(?:key|code|sig|auth|pwd)=|eyJ|sk[-_]|AIza|[Rr][Ee][Rr]\s|asic\s|BEGIN|KIA|SIA|xai-|hf_|r8_|lx-|gh[oprsu]_|hub_p|xox|SPX|ya29/
/**
 * Credentials that are known by how they begin; the beginning stays, to say what it was. Looked for from the last sign of
 * the beginning, because few signs of a text are one of these four: 20 times faster than from the first.
 */
const shapes =
  /([-_.A](?<=(?<![A-Za-z0-9])(?:sk-|GOCSPX-|ya29\.|gsk_|xai-|hf_|r8_|pplx-|A[KS]IA|gh[oprsu]_|github_pat_|xox[abprs]-))(?:ant-|proj-|or-)?)[\w-]{8,}/g
const googleKey = /AIza[\w-]{8,}/g

const bearer = /(bearer\s{1,8})[\w.~+/=-]{6,}/gi
/** Base64, not "basic understanding": it has a digit, a sign, or a capital within. */
const basic = /([Bb]asic\s{1,8})(?=[A-Za-z]{0,200}[\d+/=]|[A-Za-z][a-z]{0,200}[A-Z])[\w+/=-]{6,}/g

/** User and password, or a token in their place, between a scheme and its host. */
const userInfo = /:\/\/[^\s/?#"'<>\\]+@/g

/** A PEM block; one without an end goes to the end of the text. */
function hidePem(text: string): string {
  let at = text.indexOf('-----BEGIN ')
  if (at === -1) return text
  let clean = ''
  let copied = 0
  while (at !== -1) {
    clean += text.slice(copied, at) + mask
    const end = text.indexOf('-----END ', at)
    const close = end === -1 ? -1 : text.indexOf('-----', end + 9)
    if (close === -1) return clean
    copied = close + 5
    at = text.indexOf('-----BEGIN ', copied)
  }
  return clean + text.slice(copied)
}

const inJwt = /[\w-]*/y

/** Three parts between dots of which the first begins with `{"` in base64. */
function hideJwts(text: string): string {
  let at = text.indexOf('eyJ')
  if (at === -1) return text
  let clean = ''
  let copied = 0
  while (at !== -1) {
    const first = runEnd(text, at)
    let end = first
    if (text[first] === '.' && first - at >= 8) {
      const second = runEnd(text, first + 1)
      if (second - first > 4) end = text[second] === '.' ? runEnd(text, second + 1) : second
    }
    if (end > first) {
      clean += text.slice(copied, at) + mask
      copied = end
    }
    // Whatever else begins within this run ends where it ends, so it is not looked at again.
    at = text.indexOf('eyJ', end)
  }
  return clean + text.slice(copied)
}

function runEnd(text: string, from: number): number {
  inJwt.lastIndex = from
  inJwt.test(text)
  return inJwt.lastIndex
}

const separator = /[:=]|%3[AaDd]/g
/** A name in text is at most this long; of a longer one its end is judged. */
const longestName = 80

/** Values behind `name=` and `name:`, with quotes or without, in URLs, forms, headers, code and broken JSON. */
function hideAssigned(text: string, keys: KeyRules): string {
  let clean = ''
  let copied = 0
  separator.lastIndex = 0
  for (let found = separator.exec(text); found !== null; found = separator.exec(text)) {
    const behind = found.index + found[0].length
    const name = nameBefore(text, found.index, copied)
    if (name === '' || !isSecretHere(text, found.index, name, found[0], keys)) continue
    const value = valueBehind(text, behind, name)
    if (value.end <= value.start) continue
    clean += text.slice(copied, value.start) + mask
    copied = value.end
    separator.lastIndex = value.end
  }
  return copied === 0 ? text : clean + text.slice(copied)
}

/** The name that ends before `end`, not reaching back beyond `from`. */
function nameBefore(text: string, end: number, from: number): string {
  let stop = end
  while (stop > from && isSpace(text.charCodeAt(stop - 1))) stop--
  while (stop > from && isQuoting(text.charCodeAt(stop - 1))) stop--
  let start = stop
  const least = Math.max(from, stop - longestName)
  while (start > least && isOfName(text.charCodeAt(start - 1))) start--
  return text.slice(start, stop)
}

/** What is a parameter of a URL or of a form, and a plain word everywhere else. */
const parameters = new Set(['key', 'code', 'sig', 'auth', 'pwd'])

function isSecretHere(text: string, at: number, name: string, sign: string, keys: KeyRules): boolean {
  if (keys.isSecretInText(name)) return true
  if (sign === ':' || !parameters.has(name.toLowerCase())) return false
  const before = text.slice(Math.max(0, at - name.length - 3), at - name.length)
  return before === '' || /[?&]$|%(?:3F|26)$/i.test(before)
}

/** Names whose value is the rest of the line: it has spaces, and all of them belong to it. */
const wholeLine = /(?:authorization|cookie)$/i

function valueBehind(text: string, from: number, name: string): { start: number; end: number } {
  let start = from
  while (start < text.length && isSpace(text.charCodeAt(start))) start++
  let quote = start
  while (text[quote] === '\\' && quote - start < mostEscapes) quote++
  if (isQuote(text.charCodeAt(quote))) {
    return { start: quote + 1, end: closing(text, quote + 1, text.slice(start, quote + 1)) }
  }
  const stop = wholeLine.test(name) ? endOfLine : endOfWord
  stop.lastIndex = start
  return { start, end: stop.exec(text)?.index ?? text.length }
}

const endOfLine = /[\r\n]/g
/** Backslashes before a quote: four levels of JSON within JSON. */
const mostEscapes = 15
const endOfWord = /[\s&"'`<>\\]|%26/g

/** Where the quote that was opened by `delimiter` closes: the same, and not with one more backslash before it. */
function closing(text: string, from: number, delimiter: string): number {
  let at = text.indexOf(delimiter, from)
  while (at !== -1) {
    let escapes = 0
    while (text[at - 1 - escapes] === '\\' && at - escapes > from) escapes++
    if (delimiter.length > 1 ? escapes === 0 : escapes % 2 === 0) return at
    at = text.indexOf(delimiter, at + delimiter.length)
  }
  return text.length
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d)
}

function isQuote(code: number): boolean {
  return code === 0x22 || code === 0x27 || code === 0x60
}

/** A quote, or the backslash before one. */
function isQuoting(code: number): boolean {
  return isQuote(code) || code === 0x5c
}

/** Letters, digits, `_`, `-` and `.`. */
function isOfName(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x5f ||
    code === 0x2d ||
    code === 0x2e
  )
}
