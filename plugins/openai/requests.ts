/** A response asked for by HTTP, as a message, and its events as what the same request would be answered. */
import { jsonBytes, jsonField, type RequestDialect } from 'postern/provider'
import { errorTypeOf, failure } from './errors.ts'
import { typeOf } from './event.ts'

export const requests: RequestDialect = {
  asMessage(body) {
    // It is asked for later, by HTTP: there is nothing of it in a connection.
    if (body.get('background') === true) return false
    body.delete('background')
    body.delete('stream')
    body.set('type', 'response.create')
    return true
  },
  asEvent(event) {
    const type = typeOf(event)
    const head = typeof type === 'string' && plain.test(type) ? `event: ${type}\ndata: ` : 'data: '
    // Each line of a message that is spelt in several is a line of data: the reader puts them together again.
    const data = event.includes('\n') || event.includes('\r') ? inLines(event) : event
    const bytes = Buffer.allocUnsafe(head.length + data.length + 2)
    bytes.write(head, 'latin1')
    data.copy(bytes, head.length)
    bytes.write('\n\n', head.length + data.length, 'latin1')
    return bytes
  },
  asDocument(event) {
    const type = typeOf(event)
    if (type === 'error') {
      const error = jsonField(event, 'error')
      if (typeof error === 'object' && error !== null) return errorDocument(error, jsonField(event, 'status'))
      const [code, message] = [jsonField(event, 'code') ?? null, jsonField(event, 'message') ?? unsaid]
      return errorDocument({ code, message })
    }
    const response = jsonBytes(event, 'response')
    if (type === 'response.failed') return errorDocument(jsonField(event, 'response.error') ?? {})
    return response ?? event
  },
  responseOf(event) {
    const id = jsonField(event, 'response.id')
    return typeof id === 'string' && id !== '' ? id : null
  },
}

/** In the words of an error by HTTP: those that are there stay, the others are put beside them. */
function errorDocument(told: object, status?: unknown): Buffer {
  const type = errorTypeOf(failure(told, status).status)
  return Buffer.from(JSON.stringify({ error: { message: unsaid, type, param: null, code: null, ...told } }))
}

function inLines(event: Buffer): Buffer {
  return Buffer.from(event.toString().replaceAll(/\r\n|\r|\n/g, '\ndata: '))
}

const unsaid = 'The response failed'

/** What may stand in a line of its own. */
const plain = /^[\w.]+$/
