/** Conversations that are stored nowhere: an upstream that forgets them with its connections, and clients that go on with them. */
import type { WebSocket } from 'ws'
import type { GatewayOptions, TestGateway } from '../harness.ts'
import { responsesUpstream, type Responses, type TestClient, type Turn } from './websocket-client.fixture.ts'

export const create = { type: 'response.create', model: 'gpt-5', store: false }
export const said = (text: string) => ({ type: 'message', role: 'user', content: text })
export const answer = (text: string) => ({
  type: 'message',
  role: 'assistant',
  content: [{ type: 'output_text', text }],
})

/** An upstream that knows what each of its connections was told, and nothing else: as the API is where nothing is stored. */
export function forgetful(more: { items?: readonly object[]; tellsItems?: boolean } = {}): Promise<Responses> {
  const known = new WeakMap<WebSocket, string>()
  let count = 0
  const turn: Turn = (say, { previous_response_id: previous }, socket) => {
    if (previous !== undefined && known.get(socket) !== previous) {
      const message = `Previous response with id '${previous as string}' not found.`
      return say({ type: 'error', status: 400, error: { code: 'previous_response_not_found', message } })
    }
    const id = `resp_${++count}`
    const output = [...(more.items ?? []), answer(`answer ${count}`)]
    known.set(socket, id)
    say({ type: 'response.created', response: { id } })
    if (more.tellsItems) for (const item of output) say({ type: 'response.output_item.done', item })
    say({ type: 'response.output_text.delta', delta: 'hello' })
    say({ type: 'response.completed', response: { id, output: more.tellsItems ? [] : output } })
  }
  return responsesUpstream(turn)
}

export const options = (upstreams: readonly object[], more: Partial<GatewayOptions> = {}): GatewayOptions => ({
  plugins: ['openai'],
  upstreams: upstreams as GatewayOptions['upstreams'] & object,
  ...more,
})

/** One turn; the id of its response. */
export async function turn(client: TestClient, input: unknown, previous?: string): Promise<string> {
  client.send({ ...create, input, ...(previous === undefined ? {} : { previous_response_id: previous }) })
  const events = await client.until('response.completed')
  return (events.at(-1)!.response as { id: string }).id // as the upstreams here say it
}

/** How often what was counted, on the page for Prometheus. */
export async function replays(gw: TestGateway): Promise<Record<string, number>> {
  const page = await (await fetch(`${gw.adminUrl}/metrics`)).text()
  const lines = page.matchAll(/^postern_turn_replays_total\{outcome="(\w+)"\} (\d+)$/gm)
  return Object.fromEntries([...lines].map(([, outcome, count]) => [outcome, Number(count)]))
}
