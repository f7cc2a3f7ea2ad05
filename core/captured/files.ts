/** Captured errors in the files of ops-capture: FILE, and FILE.1, FILE.2 … that were put aside before it. */
import { stat } from 'node:fs/promises'
import { redactJson, redactText, redactUrl } from '../observe/redact.ts'
import type { CapturedError, FailedAttempt } from './captured.ts'
import { matches, tellsOf, type Filter } from './filter.ts'
import { linesFromEnd } from './lines.ts'

/**
 * How far, in ms, lines may be out of order: exchanges that end at the same time wait for each other's batch. Behind a line that is
 * older by this than what is asked for, nothing else is looked at.
 */
const disorder = 60_000

/** Whether there is one at all. */
export async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null
}

/**
 * The newest first. Reads no further than it has to; what is no record is passed over. `needed`: texts that every line has that is
 * asked for.
 */
export async function* inFiles(
  path: string,
  filter: Filter,
  needed: readonly string[] = tellsOf(filter),
): AsyncGenerator<CapturedError> {
  for (let number = 0; ; number++) {
    const file = number === 0 ? path : `${path}.${number}`
    if (number > 0 && !(await isThere(file))) return
    for await (const line of linesFromEnd(file)) {
      // Secrets are masked where they are written, so what is asked for stands in the line as it is told.
      if (needed.some((text) => !line.includes(text))) continue
      const record = recordIn(line)
      if (!record) continue
      if (filter.since !== undefined && Date.parse(record.at) < filter.since - disorder) return
      if (matches(record, filter)) yield record
    }
  }
}

type Fields = Readonly<Record<string, unknown>>

/** Null where the line is none of ours. The file may be anybody's: nothing in it is believed to be of its type. */
function recordIn(line: string): CapturedError | null {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return null
  }
  if (!isMap(value) || typeof value.at !== 'string' || Number.isNaN(Date.parse(value.at))) return null
  const text = (name: string) => textIn(value, name)
  const number = (name: string) => numberIn(value, name)
  return {
    id: text('id') ?? '',
    at: value.at,
    exchange: text('exchange') ?? '',
    // Whatever words a file has: they are shown, and compared with those that are asked for.
    phase: (text('phase') ?? 'internal') as CapturedError['phase'],
    owner: (text('owner') ?? 'gateway') as CapturedError['owner'],
    source: (text('source') ?? 'gateway') as CapturedError['source'],
    severity: (text('severity') ?? 'P2') as CapturedError['severity'],
    is_retryable: value.is_retryable === true,
    type: text('type'),
    code: text('code'),
    message: text('message'),
    recovered: value.recovered === true,
    status: number('status') ?? 0,
    upstream_statuses: listIn(value, 'upstream_statuses').map((one) => (typeof one === 'number' ? one : null)),
    attempts: listIn(value, 'attempts').filter(isMap).map(attemptOf),
    passed_over: listIn(value, 'passed_over')
      .filter(isMap)
      .map((one) => ({ upstream: textIn(one, 'upstream') ?? '', reason: textIn(one, 'reason') ?? '' })),
    provider: text('provider'),
    operation: text('operation'),
    model: text('model'),
    upstream: text('upstream'),
    key: text('key'),
    key_id: number('key_id'),
    user_id: number('user_id'),
    group_id: number('group_id'),
    stream: typeof value.stream === 'boolean' ? value.stream : null,
    method: text('method') ?? '',
    path: redactUrl(text('path') ?? ''),
    client: text('client') ?? '',
    ms: number('ms'),
    headers: headersIn(value),
    error_body: text('error_body'),
    request_body:
      value.request_body === null || value.request_body === undefined
        ? null
        : redactJson(Buffer.from(JSON.stringify(value.request_body))).toString(),
    request_bytes: number('request_bytes'),
  }
}

function attemptOf(one: Fields): FailedAttempt {
  return {
    attempt: numberIn(one, 'attempt') ?? 0,
    at_unix_ms: numberIn(one, 'at_unix_ms'),
    upstream: textIn(one, 'upstream') ?? '',
    kind: one.kind === 'http_error' ? 'http_error' : 'request_error',
    status: numberIn(one, 'status'),
    error: textIn(one, 'error'),
    request_id: textIn(one, 'request_id'),
    ms: numberIn(one, 'ms'),
    message: textIn(one, 'message'),
  }
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Redacted: a line may have been written by another version, or by hand. */
function textIn(fields: Fields, name: string): string | null {
  const value = fields[name]
  return typeof value === 'string' ? redactText(value) : null
}

function numberIn(fields: Fields, name: string): number | null {
  const value = fields[name]
  return typeof value === 'number' ? value : null
}

function listIn(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name]
  return Array.isArray(value) ? value : []
}

function headersIn(fields: Fields): Record<string, string> {
  const { headers } = fields
  if (!isMap(headers)) return {}
  return Object.fromEntries(
    Object.keys(headers).flatMap((name) => {
      const value = textIn(headers, name)
      return value === null ? [] : [[name, value]]
    }),
  )
}
