/** The id that an answer of the Responses API says it is stored under. */
import { jsonField } from 'postern/provider'

/** A stream tells it in its first event; a few more are looked at, in case a server puts something before it. */
export const eventsLookedAt = 4

/** The id; null where the event, or the whole answer, tells none. */
export function responseIdOf(data: Buffer): string | null {
  if (data[0] !== 0x7b || !data.includes('"id"')) return null
  const id = jsonField(data, 'response.id') ?? (jsonField(data, 'object') === 'response' ? jsonField(data, 'id') : null)
  return typeof id === 'string' && id !== '' ? id : null
}
