/**
 * The formats a schema can name. One table for everyone: the validator tests with it, `settle` turns texts into values
 * with it, problems take their words from it, the editor's schema its patterns.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { isAddressPattern } from '../address.ts'
import { Secret } from '../secret.ts'

export interface Format {
  /** Ends the sentence "… must be". */
  readonly what: string
  /** For editors, which know no formats of ours: what of the test a regular expression can hold. Null: any text. */
  readonly pattern: string | null
  readonly test: (text: string) => boolean
  /** What to write instead of `value`. */
  readonly cure: (value: unknown) => string
  /** Turns a text that passed the test into the value that code is given. Absent: it stays a text. */
  readonly parse?: (text: string) => unknown
}

/** Where to listen: a socket's path, or a port with the address to bind it to (null: every address). */
export type Listen = { readonly path: string } | { readonly host: string | null; readonly port: number }

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const sizeUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, KB: 1e3, MB: 1e6, GB: 1e9 }
const durationPattern = patternOf(durationUnits)
const sizePattern = patternOf(sizeUnits)
const urlPattern = '^https?://[^/?#@\\s\\\\]+(/[^?#\\s\\\\]*)?$'
const storePattern = '^(memory|(redis|rediss|redis\\+cluster|rediss\\+cluster)://[^\\s]+)$'
const databasePattern = '^(none|embedded|embedded:[^\\s]+|postgres(ql)?://[^\\s]+)$'
const datePattern = '^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2}))?$'
const hostPattern = '^[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$'
const modelPattern = '^([^*\\s]+\\*?|\\*)$'

export const formats: Readonly<Record<string, Format>> = {
  duration: {
    what: 'a duration such as 30s',
    pattern: durationPattern,
    test: (text) => parseDuration(text) !== null,
    parse: parseDuration,
    cure: (value) => `Write ${withUnit(value, guessDurationUnit) ?? '30s'} (the units are ms, s, m, h and d)`,
  },
  size: {
    what: 'a size such as 32MiB',
    pattern: sizePattern,
    test: (text) => parseSize(text) !== null,
    parse: parseSize,
    cure: (value) =>
      `Write ${withUnit(value, guessSizeUnit) ?? '32MiB'} (or B, KiB, GiB; KB, MB and GB are powers of 1000)`,
  },
  secret: {
    what: 'a text that is kept secret',
    pattern: null,
    test: () => true,
    parse: (text) => new Secret(text),
    cure: () => 'Write "${NAME}" to take it from the environment, or file:PATH to read it from a file',
  },
  listen: {
    what: 'an address to listen on such as 127.0.0.1:8787',
    pattern: '^(unix:/.+|(\\[[0-9A-Fa-f:.%\\w]+\\]|[A-Za-z0-9.-]*):[0-9]{1,5})$',
    test: (text) => parseListen(text) !== null,
    cure: (value) =>
      /^\d{1,5}$/.test(String(value))
        ? `Write 127.0.0.1:${String(value)}, or :${String(value)} for every address of this machine`
        : 'Write HOST:PORT, :PORT, "[::1]:PORT" or unix:/path/of/socket',
  },
  address: {
    what: 'an address or a range such as 10.0.0.0/8',
    pattern: '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$',
    test: isAddressPattern,
    cure: () => 'Write an IPv4 or IPv6 address, or a range in CIDR notation',
  },
  url: {
    what: 'a web address such as https://api.example.com',
    pattern: urlPattern,
    test: isUrl,
    cure: () => 'Write http:// or https://, the host and perhaps a path; no query, no fragment, no user or password',
  },
  store: {
    what: 'a store such as memory or redis://127.0.0.1:6379',
    pattern: storePattern,
    test: (text) => new RegExp(storePattern).test(text),
    // It may hold a password.
    parse: (text) => new Secret(text),
    cure: () => 'Write memory, or redis://HOST:PORT (rediss:// with TLS, redis+cluster:// for a cluster)',
  },
  database: {
    what: 'a database such as embedded or postgres://user@127.0.0.1/postern',
    pattern: databasePattern,
    test: (text) => new RegExp(databasePattern).test(text),
    parse: (text) => new Secret(text),
    cure: () => 'Write postgres://USER:PASSWORD@HOST/NAME, embedded, or none',
  },
  date: {
    what: 'a date such as 2027-01-31 or 2027-01-31T12:00:00Z',
    pattern: datePattern,
    test: (text) => new RegExp(datePattern).test(text) && !Number.isNaN(Date.parse(text)),
    cure: () => 'Write YEAR-MONTH-DAY, or a moment with its time zone such as 2027-01-31T12:00:00Z',
  },
  certificate: {
    what: 'a certificate in PEM',
    pattern: null,
    test: (text) => text.includes('-----BEGIN CERTIFICATE-----'),
    cure: () => 'Write file:PATH of a file that begins with -----BEGIN CERTIFICATE-----',
  },
  host: {
    what: 'a name such as api.example.com',
    pattern: hostPattern,
    test: (text) => new RegExp(hostPattern).test(text) && isIP(text) === 0,
    cure: () => 'Write a name of letters, digits, hyphens and dots, without scheme, port or path',
  },
  'model-pattern': {
    what: 'a model name such as gpt-5 or gpt-5*',
    pattern: modelPattern,
    test: (text) => new RegExp(modelPattern).test(text),
    cure: () => 'Write a name without spaces; a * matches any rest and can only stand at its end',
  },
}

/** Formats of what may hold a credential: no frame and no sentence shows it. */
export const secretFormats: ReadonlySet<string> = new Set(['secret', 'store', 'database'])

/** Milliseconds of a text such as `30s`; null where it is none. */
export function parseDuration(text: string): number | null {
  return parseUnits(text, durationPattern, durationUnits)
}

/** Bytes of a text such as `32MiB`; null where it is none. */
export function parseSize(text: string): number | null {
  return parseUnits(text, sizePattern, sizeUnits)
}

/** Reads `127.0.0.1:8787`, `:8787`, `[::1]:8787` or `unix:/path`; null where it is none of these. */
export function parseListen(text: string): Listen | null {
  // The kernel keeps the path of a socket in 108 bytes, one of which ends it.
  if (text.startsWith('unix:/')) return Buffer.byteLength(text) - 5 <= 107 ? { path: text.slice(5) } : null
  const [, host, digits] = /^(\[[^\]]+\]|[A-Za-z0-9.-]*):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (host === undefined || port > 65_535) return null
  if (host === '') return { host: null, port }
  if (host.startsWith('[')) return isIPv6(host.slice(1, -1)) ? { host: host.slice(1, -1), port } : null
  return /^[\d.]+$/.test(host) && !isIPv4(host) ? null : { host, port }
}

function isUrl(text: string): boolean {
  if (!new RegExp(urlPattern).test(text) || !URL.canParse(text)) return false
  const { username, password } = new URL(text)
  return username === '' && password === ''
}

function patternOf(units: object): string {
  return `^[0-9]+(\\.[0-9]+)?(${Object.keys(units).join('|')})$`
}

function parseUnits(text: string, pattern: string, units: Readonly<Record<string, number>>): number | null {
  if (!new RegExp(pattern).test(text)) return null
  const unit = units[text.replace(/^[0-9.]+/, '')] ?? Number.NaN
  const value = Math.round(Number.parseFloat(text) * unit)
  return Number.isSafeInteger(value) ? value : null
}

/** `30` → `30s`, `5 min` → `5m`: the number that was written, with the unit that was probably meant. */
function withUnit(value: unknown, guess: (rest: string) => string): string | undefined {
  const [, amount, rest = ''] = /^\s*(\d{1,12}(?:\.\d{1,3})?)(?![\d.])\s*(.*)$/.exec(String(value)) ?? []
  return amount === undefined ? undefined : amount + guess(rest.toLowerCase())
}

function guessDurationUnit(rest: string): string {
  return /^(ms|mil|[smhd])/.exec(rest)?.[0].replace('mil', 'ms') ?? 's'
}

function guessSizeUnit(rest: string): string {
  const exact = Object.keys(sizeUnits).find((unit) => unit.toLowerCase() === rest)
  return exact ?? (/^[kmg]/.test(rest) ? `${rest.charAt(0).toUpperCase()}iB` : 'B')
}
