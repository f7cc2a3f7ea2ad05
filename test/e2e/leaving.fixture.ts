/** What the tests of clients that leave have in common: an upstream that goes on when told, and a witness of what is heard. */
import { once } from 'node:events'
import { request as ask, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { definePlugin, type Hooks, type Plugin } from 'postern/plugin'
import type { Usage } from 'postern/provider'
import { until } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, type FakeUpstream } from '../fake-upstream.ts'
import { gateway, type GatewayOptions, type LogRecord, type TestGateway } from '../harness.ts'

/** How an exchange was for the plugins. */
export interface Ended {
  readonly error: string
  readonly usage: Usage | null
  readonly status: number
  /** Data of the events, in order. */
  readonly events: readonly string[]
  /** Statuses of the heads. */
  readonly heads: readonly number[]
  readonly isAborted: boolean
}

/** Remembers what exchanges were like; `listens` to their events unless it is told not to. */
export function witness(listens = true): { ends: Ended[]; plugin: Plugin } {
  const ends: Ended[] = []
  const events = new Map<string, string[]>()
  const heads = new Map<string, number[]>()
  const noted = <T>(map: Map<string, T[]>, id: string, one: T) => void map.set(id, [...(map.get(id) ?? []), one])
  const hooks: Hooks<'usage'> = {
    onResponse: ({ id }, { status }) => noted(heads, id, status),
    onEnd({ id, kind, error, facts, status, signal }) {
      if (kind === 'session') return
      const seen = { events: events.get(id) ?? [], heads: heads.get(id) ?? [] }
      ends.push({ error: error?.name ?? '', usage: facts.usage, status, ...seen, isAborted: signal.aborted })
    },
  }
  if (listens) hooks.onEvent = ({ id }, data) => noted(events, id, data.toString())
  const plugin = definePlugin({
    name: 'witness',
    config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
    mayRead: listens ? ['usage'] : [],
    setup: () => hooks,
  })
  return { ends, plugin }
}

/** An upstream whose answers are written by the test; `left` counts those that were given up. */
export interface Paced extends FakeUpstream {
  readonly answers: readonly ServerResponse[]
  readonly left: number
}

/** Begins each answer with `begin`; the test goes on. */
export async function paced(begin: (answer: ServerResponse) => void = () => {}): Promise<Paced> {
  const answers: ServerResponse[] = []
  let left = 0
  const upstream = await fakeUpstream((_asked, answer) => {
    answers.push(answer)
    answer.on('close', () => {
      if (!answer.writableFinished) left++
    })
    begin(answer)
  })
  return Object.defineProperties(Object.assign(upstream, { answers, left: 0 }), { left: { get: () => left } })
}

export const chunk = (content: string) =>
  `data: ${JSON.stringify({ object: 'chat.completion.chunk', model: 'm', choices: [{ index: 0, delta: { content } }] })}\n\n`
export const spent = { prompt_tokens: 120, completion_tokens: 7 }
export const used: Usage = { input: 120, output: 7, cacheRead: 0, cacheWrite: 0 }
/** The end of a chat that tells its tokens. */
export const lastChunks = `data: ${JSON.stringify({ choices: [], usage: spent })}\n\ndata: [DONE]\n\n`
export const completion = JSON.stringify({ object: 'chat.completion', model: 'm', choices: [], usage: spent })

/** The head of a stream and its first event. */
export function beginStream(answer: ServerResponse): void {
  answer.writeHead(200, { 'content-type': 'text/event-stream' })
  answer.write(chunk('Hi'))
}

/** A client that has asked for a chat. */
export interface Caller {
  readonly request: ClientRequest
  /** Resolves with the head. */
  readonly head: Promise<IncomingMessage>
  /** Hangs up. */
  readonly leave: () => void
}

export function call(url: string, body: object = { model: 'm', stream: true }, path = '/v1/chat/completions'): Caller {
  const request = ask(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  })
  request.on('error', () => {})
  const head = once(request, 'response').then(([answer]: IncomingMessage[]) => answer!.on('error', () => {}))
  head.catch(() => {})
  request.end(JSON.stringify(body))
  return { request, head, leave: () => void request.destroy() }
}

/** Waits until the client has had the first bytes, and has it leave. */
export async function leaveInMidst({ head, leave }: Caller): Promise<void> {
  await once(await head, 'data')
  leave()
}

/** Waits until the gateway has noticed that its only client has left. */
export const noticed = ({ sidecar }: TestGateway) =>
  until(() => sidecar.server.gateway.exchanges[0]?.error?.name === 'ClientGone')

/** The lines of exchanges. */
export const linesOf = ({ records }: TestGateway): readonly LogRecord[] =>
  records.filter(({ message }) => message === 'exchange')

/** A gateway before one upstream of OpenAI's API. */
export function before(url: string, plugins: GatewayOptions['plugins'], more: object = { on_disconnect: 'drain' }) {
  return gateway({ plugins: [...plugins, 'openai'], upstreams: [{ name: 'o', provider: 'openai', url }], ...more })
}
