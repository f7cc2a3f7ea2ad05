/** Which captured errors are asked for. */
import type { CapturedError } from './captured.ts'

/** What is absent does not count. */
export interface Filter {
  /** In ms since 1970: not older, and older. */
  readonly since?: number
  readonly until?: number
  readonly status?: number
  readonly upstream?: string
  readonly phase?: string
  readonly owner?: string
  /** The error's code, or its type where it has none. */
  readonly code?: string
  readonly exchange?: string
}

/** What a list of them can be asked for by words: for options of a command, and for a query string. */
export const filterNames = ['status', 'upstream', 'phase', 'owner', 'code', 'exchange'] as const

/** The words that the fields of a cause may have. */
export const phases: readonly CapturedError['phase'][] = ['request', 'auth', 'routing', 'upstream', 'internal']
export const owners: readonly CapturedError['owner'][] = ['client', 'gateway', 'upstream']

/** Whether a record is asked for. */
export function matches(record: CapturedError, filter: Filter): boolean {
  const { since, until, status, upstream, phase, owner, code, exchange } = filter
  const at = Date.parse(record.at)
  return (
    (since === undefined || at >= since) &&
    (until === undefined || at < until) &&
    (status === undefined || record.status === status) &&
    (upstream === undefined || record.upstream === upstream) &&
    (phase === undefined || record.phase === phase) &&
    (owner === undefined || record.owner === owner) &&
    (code === undefined || codeOf(record) === code) &&
    (exchange === undefined || record.exchange === exchange)
  )
}

/** What an error is counted under. */
export function codeOf({ code, type }: Pick<CapturedError, 'code' | 'type'>): string | null {
  return code ?? type
}

/**
 * Texts that stand in every line of a file that is asked for, as JSON spells them: looking for those costs a twentieth of reading
 * the line.
 */
export function tellsOf({ upstream, code, exchange }: Filter): readonly string[] {
  return [upstream, code, exchange].flatMap((text) => (text === undefined ? [] : JSON.stringify(text)))
}
