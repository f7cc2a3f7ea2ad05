/** The Responses API over WebSocket: turns. The Realtime API: sessions. */
import type { Body } from 'postern/plugin'
import { jsonField, type TurnDialect, type WebSocketDialect } from 'postern/provider'
import { typeOf } from './event.ts'
import { replay } from './replay.ts'
import { requests } from './requests.ts'

/** How an upgrade of a path is served. */
export function websocketAt(path: string): 'turns' | 'session' | null {
  if (path === '/v1/responses') return 'turns'
  return path === '/v1/realtime' ? 'session' : null
}

/** Events after which nothing more comes of a response; an error is one: who waits for more, waits in vain. */
const last = new Set([
  'response.completed',
  'response.done',
  'response.failed',
  'response.incomplete',
  'response.cancelled',
  'response.canceled',
  'error',
])

/** The reasons of close frames are those that clients have always been told. */
const turns: TurnDialect = {
  begins(message, isFirst) {
    const type = message.get('type')
    if (type === undefined) message.set('type', 'response.create')
    else if (type === 'response.append')
      return 'response.append is not supported in ws v2; use response.create with previous_response_id'
    else if (type !== 'response.create')
      return `unsupported websocket request type: ${typeof type === 'string' ? type : JSON.stringify(type)}`
    const model = message.get('model')
    if (typeof model !== 'string' || model === '')
      return `model is required in ${isFirst ? 'first ' : ''}response.create payload`
    if (/^(?:msg|message)_/.test(previousOf(message) ?? ''))
      return 'previous_response_id must be a response.id (resp_*), not a message id'
    return null
  },
  ends(event) {
    const type = typeOf(event)
    return typeof type === 'string' && last.has(type)
  },
  // What is not stored is known to the connection alone.
  staysOnConnection: (message) => message.get('store') === false,
  continues: previousOf,
  asMessage(message, headers) {
    const metadata = headers['x-codex-turn-metadata']
    if (typeof metadata === 'string') message.set('client_metadata.x-codex-turn-metadata', metadata)
  },
  asRequest(message) {
    message.delete('type')
    if (message.get('stream') !== true) message.set('stream', true)
  },
  error(shape, status) {
    const { error } = shape as { error?: unknown } // what `refusal` makes, or an upstream says
    return JSON.stringify({ type: 'error', status, error })
  },
  lost(event) {
    if (typeOf(event) !== 'error') return null
    const code = jsonField(event, 'error.code') ?? jsonField(event, 'code')
    if (code === 'websocket_connection_limit_reached') return 'connection'
    return code === 'previous_response_not_found' ? 'response' : null
  },
  replay,
  requests,
}

function previousOf(message: Body): string | null {
  const id = message.get('previous_response_id')
  return typeof id === 'string' && id !== '' ? id : null
}

export const websocket: WebSocketDialect = {
  modelParameter: 'model',
  turns,
  keptHeaders: ['x-codex-turn-state'],
  turnHeaders: ['x-codex-turn-state', 'x-codex-turn-metadata'],
  ownHeaders: ['session_id', 'session-id', 'conversation_id', 'x-codex-turn-state', 'x-codex-turn-metadata'],
}
