/**
 * How long a credential should rest, from whatever an upstream's answer says about it: one reader for every dialect of rate
 * limits. Pure, in linear time, and for errors only: no answer that is none comes here.
 */
import type { Headers } from './plugin.ts'

/** What an answer says: for how long, of what, and where it stands. */
export interface RestTold {
  /** Seconds, between `shortest` and `longest`. */
  readonly rest: number
  /** Whether the limit is on this model alone, or on all that the credential asks for. */
  readonly scope: 'credential' | 'model'
  /** The header or field that said so; for the log. */
  readonly source: string
}

export interface ErrorAnswer {
  readonly status: number
  readonly headers: Headers
  /** The beginning of its body, if it is at hand. */
  readonly body: Buffer | null
}

/** Less than this is not worth a mark, in seconds. */
const shortest = 0.1
/** The longest windows there are reset weekly; whoever says more is believed for a week, in seconds. */
const longest = 7 * 86_400
/** What lies further ahead than this is no time but a mistake, in seconds. */
const absurd = 400 * 86_400
/** For a balance that is spent nobody says when it will not be; somebody has to pay first. In seconds. */
const unpaid = 600
/** A quota per day comes back at midnight, but may be raised before: it is asked for once an hour. In seconds. */
const hourly = 3600
/** So much of a body is looked at, in bytes. */
const bodyLimit = 16 * 1024

/**
 * The rest that the answer asks for; null where it does not ask, or not in a way that can be believed: what is garbage, negative
 * or past counts as not said. `now` is in ms.
 *
 * Windows that are spent for good until their reset (`anthropic-ratelimit-unified-*`, `x-codex-*`, `resets_in_seconds`) outweigh
 * a shorter Retry-After; buckets that fill up steadily (`x-ratelimit-*`, `anthropic-ratelimit-requests-*`) count only where
 * nothing says it outright. Of the windows those that are exhausted count; where no bucket is, the nearest reset.
 */
export function restOf({ status, headers, body }: ErrorAnswer, now: number): RestTold | null {
  if (status < 400) return null
  const text = body === null ? '' : body.toString('utf8', 0, bodyLimit)
  const told = complaintOf(text)
  if (!mayLimit(status) && (told === null || told === 'refused')) return null
  const clock = clockOf(headers, now)
  const plain = plainly(headers, text, clock)
  // Other errors carry the state of the windows as well, but are not about it.
  const isLimit = status === 429 || told === 'limit'
  const windows = isLimit ? windowsOf(headers, text, clock) : []
  const spent = farthest(windows.filter(({ isHard, isSpent }) => isHard && isSpent))
  if (spent && spent.rest > (plain?.rest ?? 0)) return within(spent)
  const buckets = windows.filter(({ isHard }) => !isHard)
  const scope = buckets.some(({ scope }) => scope === 'model') || /PerModel/.test(text) ? 'model' : 'credential'
  const daily = isLimit ? dailyQuota(text, now) : null
  if (daily && daily.rest > (plain?.rest ?? 0)) return within(daily)
  if (plain) return within({ ...plain, scope: spent?.scope ?? scope })
  if (told === 'quota') return { rest: unpaid, scope: 'credential', source: 'insufficient_quota' }
  const bucket = farthest(buckets.filter(({ isSpent }) => isSpent)) ?? nearest(buckets)
  return bucket ? within(bucket) : null
}

const limits = new Set(['rate_limit_error', 'rate_limit_exceeded', 'usage_limit_reached', 'RESOURCE_EXHAUSTED'])
const quotas = new Set(['insufficient_quota', 'billing_hard_limit_reached', 'billing_error'])
const complaint =
  /"(?:type|code|status)"\s*:\s*"(rate_limit_error|rate_limit_exceeded|usage_limit_reached|RESOURCE_EXHAUSTED|insufficient_quota|billing_hard_limit_reached|billing_error|overloaded_error|server_is_overloaded|slow_down)"/g
const isRefused = /"API_KEY_INVALID"/
const atCapacity = /model is (?:currently )?(?:at capacity|overloaded)/i
const isSpent = /credit balance is too low/i

/**
 * Whether the text of an error names a limit, a spent balance, an overload or a refused key, whatever its status says: some APIs
 * send these with 400, or with 200 inside a stream.
 */
export function complaintOf(text: string): 'limit' | 'quota' | 'overload' | 'refused' | null {
  if (isSpent.test(text)) return 'quota'
  let told: 'limit' | 'overload' | null = atCapacity.test(text) ? 'overload' : null
  for (const [, word = ''] of text.matchAll(complaint)) {
    // The more particular word wins: OpenAI's type may say one thing and its code another.
    if (quotas.has(word)) return 'quota'
    told = limits.has(word) ? 'limit' : (told ?? 'overload')
  }
  return told ?? (isRefused.test(text) ? 'refused' : null)
}

/** Statuses of which a time to come again is believed. */
function mayLimit(status: number): boolean {
  return status === 429 || status === 402 || status === 403 || status >= 500
}

interface Window extends RestTold {
  /** Nothing is left of it before its reset. Else it fills up steadily, and Retry-After knows better. */
  readonly isHard: boolean
  readonly isSpent: boolean
}

/** What says outright when to come again. */
function plainly(headers: Headers, text: string, clock: number): RestTold | null {
  for (const [source, read] of plainSources) {
    const rest = read(headers, text, clock)
    if (rest !== null) return { rest, scope: 'credential', source }
  }
  return null
}

type Read = (headers: Headers, text: string, clock: number) => number | null
const plainSources: readonly (readonly [string, Read])[] = [
  ['retry-after-ms', (headers) => positive(Number(decimal(first(headers, 'retry-after-ms'))) / 1000)],
  ['retry-after', (headers, _text, clock) => secondsUntil(first(headers, 'retry-after'), clock)],
  ['RetryInfo', (_headers, text, clock) => found(text, /"retryDelay"\s*:\s*"([^"\\]{1,40})"/, clock)],
  ['retry_after', (_headers, text, clock) => found(text, /"retry_after(?:_seconds)?"\s*:\s*"?([\d.]{1,20})/, clock)],
  ['message', (_headers, text) => hint(text)],
]

function found(text: string, pattern: RegExp, clock: number): number | null {
  return secondsUntil(pattern.exec(text)?.[1], clock)
}

/** "Please try again in 1.2s.", "Please retry in 2 minutes": OpenAI's and Google's words for people. */
function hint(text: string): number | null {
  const match = /(?:try again|retry) (?:in|after) ([\d.a-z]{1,24})(?: (millisecond|second|minute|hour|day))?/i.exec(
    text,
  )
  const amount = match?.[1]?.replace(/\.$/, '').toLowerCase()
  const unit = match?.[2]
  if (amount === undefined) return null
  return unit === undefined ? duration(amount) : positive(Number(decimal(amount)) * units[unit.toLowerCase()]!)
}

/** Every window that the answer tells of, with a reset that lies ahead. */
function windowsOf(headers: Headers, text: string, clock: number): Window[] {
  const windows: Window[] = []
  for (const name in headers) {
    const read = windowReaders.find(([pattern]) => pattern.test(name))
    if (!read) continue
    const rest = secondsUntil(first(headers, name), clock)
    if (rest !== null) windows.push({ rest, source: name, ...read[1](headers, name) })
  }
  const inBody =
    found(text, /"resets_in_seconds"\s*:\s*([\d.]{1,20})/, clock) ??
    found(text, /"resets_at"\s*:\s*"?([\w:.+-]{1,40})/, clock)
  if (inBody !== null)
    windows.push({ rest: inBody, source: 'resets_at', scope: 'credential', isHard: true, isSpent: true })
  return windows
}

type Kind = Pick<Window, 'scope' | 'isHard' | 'isSpent'>
const windowReaders: readonly (readonly [RegExp, (headers: Headers, name: string) => Kind])[] = [
  [/^anthropic-ratelimit-unified-(?!overage)(?:.+-)?reset$/, unifiedWindow],
  [/^anthropic-ratelimit-(?!unified-).+-reset$/, (headers, name) => bucket(headers, name, 'model')],
  [/^x-codex-.+-reset-after-seconds$/, codexWindow],
  [/^x-ratelimit-reset-/, (headers, name) => bucket(headers, name, 'model')],
  [/^(?:x-)?ratelimit-reset$/, (headers, name) => bucket(headers, name, 'credential')],
]

function bucket(headers: Headers, name: string, scope: 'credential' | 'model'): Kind {
  const left = first(headers, name.replace('reset', 'remaining'))
  return { scope, isHard: false, isSpent: left !== undefined && Number(left) <= 0 }
}

/** Anthropic's subscriptions: windows of five hours and seven days, some of them of one family of models (`7d_opus`). */
function unifiedWindow(headers: Headers, name: string): Kind {
  const status = first(headers, name.replace(/reset$/, 'status'))
  const used = Number(first(headers, name.replace(/reset$/, 'utilization')))
  const isWhole = name === 'anthropic-ratelimit-unified-reset'
  // A share of 1; but one that is told in percent is not taken for more than all.
  const isUsed = (used >= 1 && used < 2) || used >= 100
  const isSpent = status === undefined ? isUsed || (isWhole && Number.isNaN(used)) : status === 'rejected'
  return { scope: name.includes('_') ? 'model' : 'credential', isHard: true, isSpent }
}

function codexWindow(headers: Headers, name: string): Kind {
  const used = Number(first(headers, name.replace('reset-after-seconds', 'used-percent')))
  return { scope: 'credential', isHard: true, isSpent: used >= 100 }
}

/** Google's quotas per day come back at midnight of the Pacific coast, whatever RetryInfo says beside them. */
function dailyQuota(text: string, now: number): RestTold | null {
  const quota = /"quotaId"\s*:\s*"([^"\\]{0,120}PerDay[^"\\]{0,120})"/.exec(text)?.[1]
  if (quota === undefined) return null
  const [hours = 0, minutes = 0, seconds = 0] = pacificTime().format(now).split(':').map(Number)
  const midnight = 86_400 - (hours * 3600 + minutes * 60 + seconds)
  return { rest: Math.min(midnight, hourly), scope: quota.includes('PerModel') ? 'model' : 'credential', source: quota }
}

/** Made for the first who asks: it reads the tables of languages and time zones, 18 ms and 8 MiB that few ever need. */
const pacificTime = () =>
  (pacific ??= new Intl.DateTimeFormat('en-GB', {
    timeZone: 'America/Los_Angeles',
    timeStyle: 'medium',
    hourCycle: 'h23',
  }))
let pacific: Intl.DateTimeFormat | null = null

function farthest(windows: readonly Window[]): Window | null {
  return windows.reduce<Window | null>((most, one) => (most && most.rest >= one.rest ? most : one), null)
}

function nearest(windows: readonly Window[]): Window | null {
  return windows.reduce<Window | null>((least, one) => (least && least.rest <= one.rest ? least : one), null)
}

function within({ rest, scope, source }: RestTold): RestTold {
  return { rest: Math.min(Math.max(rest, shortest), longest), scope, source }
}

/**
 * The upstream's own clock in ms where it tells it and is not out by more than a day, so that its moments mean what they
 * meant where they were written.
 */
function clockOf(headers: Headers, now: number): number {
  const theirs = httpDate(first(headers, 'date') ?? '', now)
  return theirs !== null && Math.abs(theirs - now) < 86_400_000 ? theirs : now
}

function first(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.[0]
}

/** Seconds from the clock (ms) to what is written: a number of seconds, a moment as seconds or ms, a duration, or a date. */
function secondsUntil(written: string | undefined, clock: number): number | null {
  if (written === undefined || written.length > 64) return null
  const text = written.trim()
  const number = Number(decimal(text))
  // A number of seconds as large as this would be thirty years: it is a moment.
  if (number >= 1e12) return ahead(number, clock)
  if (number >= 1e9) return ahead(number * 1000, clock)
  if (!Number.isNaN(number)) return positive(number)
  if (/^\d{4}-\d\d-\d\dT/.test(text)) return ahead(Date.parse(text), clock)
  return duration(text) ?? ahead(httpDate(text, clock) ?? Number.NaN, clock)
}

function ahead(moment: number, clock: number): number | null {
  return positive((moment - clock) / 1000)
}

/** Seconds that can be believed. Zero says that nothing has to be waited for. */
function positive(seconds: number): number | null {
  return seconds > 0 && seconds < absurd ? seconds : null
}

/** The text, if it is a plain decimal number; else what makes no number. */
function decimal(text: string | undefined): string {
  return text !== undefined && /^\d{1,20}(?:\.\d{1,20})?$/.test(text) ? text : 'none'
}

const units: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  millisecond: 1e-3,
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
}

/** Seconds of a duration such as `6m0s`, `20ms` or `1h2m3.5s`; without a unit, seconds. */
function duration(text: string): number | null {
  const plain = Number(decimal(text))
  if (!Number.isNaN(plain)) return positive(plain)
  if (!/^(?:\d{1,20}(?:\.\d{1,20})?(?:ns|us|µs|ms|s|m|h|d)){1,6}$/.test(text)) return null
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-zµ]+)/g)) seconds += Number(amount) * units[unit!]!
  return positive(seconds)
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const dates = [
  /^[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
]

/** A date of HTTP in ms, in each of its three forms (RFC 9110, section 5.6.7); null for any other text. */
function httpDate(text: string, now: number): number | null {
  const parts = dates.map((date) => date.exec(text)).find(Boolean)?.groups
  if (!parts) return null
  const month = months.indexOf(parts.month!)
  const [hour = 0, minute = 0, second = 0] = parts.time!.split(':').map(Number)
  let year = Number(parts.year)
  if (year < 100) {
    // Two digits: what seems to lie more than fifty years ahead lies behind.
    year += 2000
    if (year > new Date(now).getUTCFullYear() + 50) year -= 100
  }
  return month === -1 ? null : Date.UTC(year, month, Number(parts.day), hour, minute, second)
}
