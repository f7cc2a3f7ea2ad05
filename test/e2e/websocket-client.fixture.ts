/** A WebSocket client that remembers what it hears, and an upstream of the Responses API that answers each turn. */
import assert from 'node:assert/strict'
import { WebSocket, type ClientOptions } from 'ws'
import { wsUpstream, type UpstreamOptions, type WsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'

/** An event of the Responses API, as far as the tests look at it. */
export interface Event {
  readonly type: string
  readonly [field: string]: unknown
}

export interface TestClient extends Disposable {
  readonly ws: WebSocket
  /** Every message so far, as it came. */
  readonly heard: readonly Buffer[]
  /** The headers of the 101. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Resolves with the close frame. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  /** The next message that nobody was given yet, as JSON. */
  next(): Promise<Event>
  /** The events up to one of the type. */
  until(type: string): Promise<Event[]>
  send(message: object | string): void
}

/** Connects; rejects with what was answered in place of the upgrade. */
export async function connect(
  url: string,
  options: ClientOptions & { protocols?: string[] } = {},
): Promise<TestClient> {
  const ws = new WebSocket(url.replace(/^http/, 'ws'), options.protocols ?? [], options)
  const heard: Buffer[] = []
  const waiting: (() => void)[] = []
  let at = 0
  let isClosed = false
  let headers: TestClient['headers'] = {}
  ws.on('upgrade', (answer) => (headers = answer.headers))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on('close', (code, reason) => {
      isClosed = true
      resolve({ code, reason: reason.toString() })
      for (const wake of waiting.splice(0)) wake()
    })
  })
  ws.on('message', (data: Buffer) => {
    heard.push(data)
    for (const wake of waiting.splice(0)) wake()
  })
  await new Promise<void>((resolve, reject) => {
    ws.on('open', resolve)
    ws.on('error', reject)
    ws.on('unexpected-response', (_request, answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () =>
        reject(
          Object.assign(new Error(`answered ${answer.statusCode}`), {
            status: answer.statusCode,
            headers: answer.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        ),
      )
    })
  })
  const next = async (): Promise<Event> => {
    while (heard.length === at) {
      if (isClosed) assert.fail('the connection was closed, and no message came')
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    return JSON.parse(heard[at++]!.toString()) as Event // what a test's upstream says
  }
  return {
    ws,
    heard,
    get headers() {
      return headers
    },
    closed,
    next,
    async until(type) {
      const events: Event[] = []
      do events.push(await next())
      while (events.at(-1)!.type !== type)
      return events
    },
    send: (message) => ws.send(typeof message === 'string' ? message : JSON.stringify(message)),
    [Symbol.dispose]: () => ws.terminate(),
  }
}

/** What was answered in place of an upgrade. */
export interface Refused {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The answer to an upgrade that is refused. */
export async function refusedUpgrade(
  url: string,
  options: ClientOptions & { protocols?: string[] } = {},
): Promise<Refused> {
  const thrown: unknown = await connect(url, options).then(
    (client) => client[Symbol.dispose](),
    (error: unknown) => error,
  )
  assert.ok(thrown instanceof Error && 'status' in thrown, `not refused: ${String(thrown)}`)
  return thrown as unknown as Refused // made above
}

export interface Responses extends WsUpstream {
  /** Every message that came, in the order in which they came, with the number of its connection. */
  readonly asked: readonly {
    readonly connection: number
    readonly data: Buffer
    readonly body: Record<string, unknown>
  }[]
}

/** Says the events of one turn to whoever asked. */
export type Turn = (say: (event: object) => void, body: Record<string, unknown>, socket: WebSocket) => void

let responses = 0

/** A whole turn: created, one delta, completed. */
export const answered: Turn = (say, { model }) => {
  const id = `resp_${++responses}`
  say({ type: 'response.created', response: { id, model, status: 'in_progress' } })
  say({ type: 'response.output_text.delta', delta: 'hello' })
  const usage = { input_tokens: 7, output_tokens: 3, input_tokens_details: { cached_tokens: 2 } }
  say({ type: 'response.completed', response: { id, model, status: 'completed', output: [], usage } })
}

/** An upstream of the Responses API over WebSocket. */
export async function responsesUpstream(turn: Turn = answered, options: UpstreamOptions = {}): Promise<Responses> {
  const asked: { connection: number; data: Buffer; body: Record<string, unknown> }[] = []
  let connections = 0
  const upstream = await wsUpstream({
    ...options,
    onSocket(socket) {
      const connection = ++connections
      socket.on('message', (data: Buffer) => {
        const body = JSON.parse(data.toString()) as Record<string, unknown> // a request is an object
        asked.push({ connection, data, body })
        turn((event) => socket.send(JSON.stringify(event)), body, socket)
      })
    },
  })
  return Object.assign(upstream, { asked })
}

/** The base address of an upstream for gateway.yaml. */
export function baseOf({ url }: { readonly url: URL }): string {
  return `http://${url.host}`
}

/** The events of one turn as server-sent events. */
export function asStream(events: readonly Event[]): Buffer {
  return Buffer.from(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''))
}

/** An upstream for gateway.yaml. */
export const upstreamOf = (name: string, upstream: { url: URL }) => ({
  name,
  provider: 'openai',
  url: baseOf(upstream),
  key: `sk-${name}`,
})

/** A gateway with two of them; the first is asked first. */
export async function twoUpstreams(first: Turn, second: Turn, plugins: GatewayOptions['plugins']) {
  const a = await responsesUpstream(first)
  const b = await responsesUpstream(second)
  const gw = await gateway({ plugins, upstreams: [{ ...upstreamOf('a', a), priority: 1 }, upstreamOf('b', b)] })
  return {
    a,
    b,
    gw,
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
    },
  }
}
