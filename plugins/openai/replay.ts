/** A conversation that is stored nowhere: what of it is remembered, and how a turn goes on with it on another connection. */
import { applyPatch, deleteField } from 'postern/plugin'
import { jsonBytes, jsonElements, jsonField, type ReplayDialect, type Said } from 'postern/provider'
import { typeOf } from './event.ts'

export const replay: ReplayDialect = {
  asked(message) {
    const input = jsonBytes(message, 'input')
    if (input === null) return nothing
    // A text stands for one message of the user's.
    if (input[0] === quote) return Buffer.concat([userSays, input, ended])
    return input[0] === bracket ? input.subarray(1, -1) : nothing
  },
  item(event) {
    if (typeOf(event) !== 'response.output_item.done') return null
    const item = jsonBytes(event, 'item')
    return item && saidBy(item)
  },
  completed(event) {
    const type = typeOf(event)
    if (type !== 'response.completed' && type !== 'response.done') return null
    const id = jsonField(event, 'response.id')
    if (typeof id !== 'string' || id === '') return null
    return { id, items: () => jsonElements(jsonBytes(event, 'response.output') ?? nothing).flatMap(said) }
  },
  anew(message, before) {
    const own = replay.asked(message)
    const items = [...before, own].filter((part) => part.some((byte) => byte > space))
    const input = `[${items.map(String).join(',')}]`
    return applyPatch(message, [deleteField('previous_response_id'), { field: 'input', json: input }])
  },
}

/**
 * Null for what no other response can be given: reasoning without its encrypted content is a mere name of what is stored nowhere.
 * With it, only the account that made it can read it.
 */
function saidBy(item: Buffer): Said | null {
  const isBound = typeof jsonField(item, 'encrypted_content') === 'string'
  return isBound || jsonField(item, 'type') !== 'reasoning' ? { bytes: item, isBound } : null
}

const said = (item: Buffer): Said[] => {
  const one = saidBy(item)
  return one ? [one] : []
}

const nothing = Buffer.alloc(0)
const userSays = Buffer.from('{"type":"message","role":"user","content":')
const ended = Buffer.from('}')
const [quote, bracket, space] = [0x22, 0x5b, 0x20]
