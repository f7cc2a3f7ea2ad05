/** The one line that the log has for each exchange: spelt here, since it is most of what the log writes. */
import type { LiveExchange } from '../exchange.ts'
import { mayTell } from './redact.ts'

/** Writes it: at `info`, or at `warn` where something went wrong on the gateway's side or the upstream's. */
export function logExchange(exchange: LiveExchange): void {
  const { gateway, facts, error, answeredBy, remainder } = exchange
  const level = error && exchange.status >= 500 ? 'warn' : 'info'
  // Nothing is gathered for a line that nobody writes.
  if (!gateway.log.isOn(level)) return
  const line = new Line()
  line.fresh('exchange', exchange.id)
  line.text('method', exchange.method)
  line.text('path', exchange.path)
  line.plain('status', exchange.status)
  line.plain('ms', Math.round((performance.now() - exchange.startedAt) * 10) / 10)
  line.fresh('client', exchange.client)
  if (facts.provider) line.text('provider', facts.provider.name)
  if (facts.claim) line.text('operation', facts.claim.operation)
  if (facts.model !== null) line.text('model', facts.model)
  if (facts.stream !== null) line.plain('stream', facts.stream)
  if (exchange.upstream) line.text('upstream', exchange.upstream.name)
  line.plain('attempts', exchange.attempt)
  if (answeredBy) line.text('answered_by', `${answeredBy.plugin} in ${answeredBy.phase}`)
  line.plain('bytes_out', exchange.sent)
  if (facts.usage) line.plain('usage', JSON.stringify(facts.usage))
  if (remainder?.outcome) line.text('remainder', remainder.outcome)
  if (remainder) line.plain('remainder_bytes', remainder.bytes)
  if (error) line.text('error', ('code' in error && String(error.code)) || error.name)
  gateway.log.record(level, line.members, 'exchange', line.mayTell)
}

/** Texts that were seen to tell nothing, as JSON spells them: paths, models, names. Begun anew when full, since clients choose them. */
const known = new Map<string, string>()
const mostKnown = 1024
const longestKnown = 64

/** Members of a JSON object, without its braces. */
class Line {
  members = ''
  /** Whether a text in it may be a secret, or have one in it. */
  mayTell = false

  /** A text that comes again and again. */
  text(name: string, text: string): void {
    const spelt = known.get(text)
    if (spelt !== undefined) return this.plain(name, spelt)
    this.fresh(name, text)
    if (this.mayTell || text.length > longestKnown) return
    if (known.size === mostKnown) known.clear()
    known.set(text, JSON.stringify(text))
  }

  /** A text that is another each time. */
  fresh(name: string, text: string): void {
    const spelt = JSON.stringify(text)
    this.mayTell ||= mayTell(spelt)
    this.plain(name, spelt)
  }

  /** `value` as JSON spells it. */
  plain(name: string, value: string | number | boolean): void {
    this.members += `${this.members === '' ? '' : ','}"${name}":${value}`
  }
}
