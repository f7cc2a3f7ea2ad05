/** The kind of an event, found at its beginning. */
import { jsonField } from 'postern/provider'

/** The upstream writes it first: then nothing else of the event has to be read. */
export function typeOf(event: Buffer): unknown {
  if (event.toString('latin1', 0, beginning.length) !== beginning) return jsonField(event, 'type')
  const type = event.toString('latin1', beginning.length, beginning.length + longestType)
  const end = type.indexOf('"')
  return end > 0 && !type.includes('\\') ? type.slice(0, end) : jsonField(event, 'type')
}
const beginning = '{"type":"'
const longestType = 64
