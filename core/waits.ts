/** What an exchange that has not ended waits for: told in the log while a drain does not end, and in /healthz. */
import type { LiveExchange } from './exchange.ts'
import { redactText } from './observe/redact.ts'

/** One exchange, and who keeps it from its end. */
export interface Wait {
  readonly exchange: string
  /** Since it began, in ms. */
  readonly ms: number
  /** The plugin whose hook has not come back, and the phase; null where it is none. */
  readonly plugin: string | null
  readonly phase: string | null
  readonly upstream: string | null
  /** In words. */
  readonly for: string
}

/** Several of them: the oldest first, and how many there are. */
export interface Waits {
  readonly exchanges: number
  readonly oldest: readonly Wait[]
}

/** So many are named; the oldest are those that somebody has to look at. */
const mostNamed = 5

export function waitsOf(exchanges: readonly LiveExchange[]): Waits {
  const oldest: LiveExchange[] = []
  for (const exchange of exchanges) {
    const at = oldest.findLastIndex((one) => one.startedAt <= exchange.startedAt)
    oldest.splice(at + 1, 0, exchange)
    if (oldest.length > mostNamed) oldest.pop()
  }
  return { exchanges: exchanges.length, oldest: oldest.map(waitOf) }
}

/** In one line, for a log that is read by people. */
export function sentenceOf({ exchange, for: what }: Wait): string {
  return `${exchange} waits for ${what}`
}

function waitOf(exchange: LiveExchange): Wait {
  const { id, hook, isPending, upstream, startedAt } = exchange
  const pending = isPending ? hook : null
  return {
    exchange: redactText(id),
    ms: Math.round(performance.now() - startedAt),
    plugin: pending?.plugin ?? null,
    phase: pending?.phase ?? null,
    upstream: upstream?.name ?? null,
    for: pending ? `${pending.plugin} in ${pending.phase}` : inWords(exchange),
  }
}

function inWords({ kind, readAt, attempt, upstream, status, response, far, remainder }: LiveExchange): string {
  if (remainder && upstream) return `the rest of the answer of ${upstream.name}, whose client has left`
  if (kind === 'session' && status === 101) return 'the end of its WebSocket'
  if (readAt === 0) return 'the body of the request'
  if (status > 0 && far === null && response.writableNeedDrain) return 'the client, which does not read on'
  if (attempt === 0 || !upstream) return 'an upstream to be chosen'
  return status > 0 ? `the rest of the answer of ${upstream.name}` : `the answer of ${upstream.name}`
}
