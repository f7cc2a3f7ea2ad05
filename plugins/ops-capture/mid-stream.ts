/** Finds the events that say that an answer has failed after it had begun. */
import { jsonField } from 'postern/provider'
import { toldIn, type Told } from './attempts.ts'

/** How far into an event an error is looked for, in bytes: some put it behind id, model and date. */
const beginning = 512
/** How far its type is. */
const head = 64

/**
 * What the event says of an error; null where it says none. The same for every dialect. An event of content costs a look at
 * every second of its first bytes and makes nothing.
 */
export function errorInEvent(data: Buffer): Told | null {
  return mayTellOfError(data) && tellsOfError(data) ? toldIn(data) : null
}

function mayTellOfError(data: Buffer): boolean {
  return (hasDoubleR(data) && data.subarray(0, beginning).includes('"error"')) || namesFailure(data)
}

/** Whether there is an `rr`, as in `"error"`: of its two letters one stands at an odd place. */
function hasDoubleR(data: Buffer): boolean {
  const end = Math.min(beginning, data.length)
  for (let at = 1; at < end; at += 2) {
    if (data[at] === 0x72 && (data[at - 1] === 0x72 || data[at + 1] === 0x72)) return true
  }
  return false
}

/** Whether there is a `.f` near the beginning, as in `"response.failed"`. */
function namesFailure(data: Buffer): boolean {
  const end = Math.min(head, data.length)
  for (let at = 0; at < end; at++) if (data[at] === 0x2e && data[at + 1] === 0x66) return true
  return false
}

function tellsOfError(data: Buffer): boolean {
  const type = jsonField(data, 'type')
  if (type === 'error' || type === 'response.failed') return true
  const error = jsonField(data, 'error')
  return typeof error === 'string' ? error !== '' : typeof error === 'object' && error !== null
}
