/** Captured errors for a terminal. */
import type { CapturedError } from '../captured/captured.ts'
import { codeOf } from '../captured/filter.ts'
import type { Count, Summary } from '../captured/sums.ts'
import { optionLines } from './admin-print.ts'
import { everyone, type Option } from './admin-words.ts'

export function help(options: Readonly<Record<string, Option>>): string {
  return [
    'Usage: postern errors list|summary [options]',
    '       postern errors show ID',
    '',
    'What ops-capture has kept of failed exchanges: in the database, in its file, or in both.',
    '',
    '  list     The newest first, a line each.',
    '  show     One with all that is known of it, by its own id or that of its exchange.',
    '  summary  How many, by code, by upstream and by hour.',
    '',
    ...optionLines(options),
    ...optionLines(everyone),
    '',
    'Examples',
    '  postern errors list --since 1h --owner gateway',
    '  postern errors list --upstream claude-a --status 429 --follow',
    '  postern errors show 0mbx3k2a17f3k9',
    '  postern errors summary --since 7d --json',
  ].join('\n')
}

/** What is told by others must not steer the terminal. */
const plain = (text: string) => text.replaceAll(/\p{Cc}+/gu, ' ')
const moment = (at: string) => at.replace('T', ' ').replace(/\.\d+Z$/, 'Z')

/** One line: when, its name, how bad, what the client was told, where, who has to act, what it is. Cut where it would be two. */
export function lineOf(record: CapturedError, width: number): string {
  const { at, id, severity, status, recovered, phase, owner, upstream, message } = record
  const line = [
    moment(at),
    id.padEnd(14),
    severity,
    (recovered ? `${status}*` : String(status)).padEnd(4),
    phase.padEnd(8),
    owner.padEnd(8),
    (upstream ?? '-').padEnd(12),
    codeOf(record) ?? '-',
    message ?? '',
  ]
    .join('  ')
    .trimEnd()
  return fit(plain(line), width)
}

function fit(line: string, width: number): string {
  return width > 0 && line.length > width ? `${line.slice(0, width - 1)}…` : line
}

/** All of one. */
export function details(record: CapturedError): string[] {
  const { attempts, passed_over: passedOver, headers, key, key_id: keyId, user_id: userId } = record
  const facts: readonly (readonly [string, string | number | null])[] = [
    ['error', record.id],
    ['exchange', record.exchange],
    ['at', moment(record.at)],
    ['request', `${record.method} ${record.path} from ${record.client || '-'}`],
    ['status', `${record.status}${record.recovered ? ', recovered' : ''}`],
    ['cause', `${record.phase}, ${record.owner}’s matter, told by ${record.source}, ${record.severity}`],
    ['try again', record.is_retryable ? 'yes' : 'no'],
    ['type', record.type],
    ['code', record.code],
    ['message', record.message],
    ['provider', [record.provider, record.operation].filter(Boolean).join(', ')],
    ['model', record.model],
    ['upstream', record.upstream],
    ['key', [key, keyId && `key ${keyId}`, userId && `user ${userId}`].filter(Boolean).join(', ')],
    ['took', record.ms === null ? null : `${record.ms} ms`],
    ...Object.entries(headers),
    ['body', record.request_bytes === null ? null : `${record.request_bytes} bytes`],
  ]
  const width = Math.max(...facts.map(([name]) => name.length))
  return [
    ...facts.flatMap(([name, value]) =>
      value === null || value === '' ? [] : `${name.padEnd(width)}  ${plain(String(value))}`,
    ),
    ...attempts.map(({ attempt, upstream, status, error, ms, request_id: id, message }) =>
      plain(
        `attempt ${attempt}  ${upstream}: ${status ?? error ?? 'failed'}${ms === null ? '' : ` after ${ms} ms`}` +
          `${id === null ? '' : `, its request ${id}`}${message === null ? '' : `: ${message}`}`,
      ),
    ),
    ...passedOver.map(({ upstream, reason }) => plain(`passed over  ${upstream} ${reason}`)),
    ...(record.error_body === null ? [] : ['', 'what the upstream said:', readable(record.error_body)]),
    ...(record.request_body === null ? [] : ['', 'what was asked:', readable(record.request_body)]),
  ]
}

/** JSON with indents; anything else as it is, but for what would steer the terminal. */
function readable(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text.replaceAll(/[^\P{Cc}\n\t]+/gu, ' ')
  }
}

/** Rows of each table. */
const most = 20

export function overview({ count, codes, upstreams, hours }: Summary, width: number): string[] {
  if (count === 0) return ['None.']
  return [
    `${count} in all`,
    ...section('code', codes, count, width),
    ...section('upstream', upstreams, count, width),
    ...section('hour', hours.map(({ at, count }) => ({ name: moment(at), count })).slice(-48), count, width, 48),
  ]
}

function section(title: string, counts: readonly Count[], all: number, width: number, rows = most): string[] {
  const shown = counts.slice(0, rows)
  const rest = counts.slice(rows).reduce((sum, { count }) => sum + count, 0)
  const named = shown.map(({ name, count }) => ({ name: plain(name ?? '-'), count }))
  if (rest > 0) named.push({ name: `${counts.length - rows} others`, count: rest })
  const longest = Math.max(title.length, ...named.map(({ name }) => name.length))
  const top = Math.max(...named.map(({ count }) => count))
  return [
    '',
    title,
    ...named.map(({ name, count }) =>
      fit(
        `  ${name.padEnd(longest)}  ${String(count).padStart(String(all).length)}  ${'#'.repeat(Math.ceil((count / top) * 20))}`,
        width,
      ),
    ),
  ]
}
