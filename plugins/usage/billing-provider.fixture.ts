/** An upstream that keeps a bill of its own: what it has told of tokens, by the name it gave the answer, in whole units. */
import type { ServerResponse } from 'node:http'
import type { Script } from '../../test/fake-upstream.ts'

/** Prices of the table in usage.fixture.ts, in units of 10⁻¹⁰ USD. */
const inputPrice = 10_000n
const outputPrice = 100_000n

/** What a request asks for: how its answer goes, and how many tokens it has. */
export interface Wish {
  readonly end: 'document' | 'stream' | 'cut' | 'leave' | 'error' | 'refused'
  readonly input: number
  readonly output: number
}

export interface BillingProvider {
  readonly script: Script
  /** By the name of the answer: what it costs. */
  readonly bill: ReadonlyMap<string, bigint>
  /** The sum of it. */
  total(): bigint
}

/** Speaks Anthropic's API. The wish stands in the request's `metadata.user_id`, as JSON. */
export function billingProvider(prefix = 'req'): BillingProvider {
  const bill = new Map<string, bigint>()
  let count = 0
  const script: Script = async (asked, answer) => {
    const name = `${prefix}_${String(count++).padStart(20, '0')}`
    const { metadata, model } = JSON.parse(asked.body.toString()) as { metadata: { user_id: string }; model: string } // written by wishing()
    const { end, input, output } = JSON.parse(metadata.user_id) as Wish // the same
    if (end === 'error' || (end === 'refused' && count % 2 === 0)) {
      answer.writeHead(529, { 'content-type': 'application/json', 'request-id': name })
      answer.end('{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
      return
    }
    const costs = (tokens: number) => BigInt(input) * inputPrice + BigInt(tokens) * outputPrice
    const message = (tokens: number) => ({
      id: `msg_${name}`,
      model,
      usage: { input_tokens: input, output_tokens: tokens },
    })
    if (end === 'document' || end === 'refused') {
      bill.set(name, costs(output))
      answer.writeHead(200, { 'content-type': 'application/json', 'request-id': name })
      answer.end(JSON.stringify({ type: 'message', ...message(output), stop_reason: 'end_turn' }))
      return
    }
    answer.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': name })
    bill.set(name, costs(1))
    await send(answer, { type: 'message_start', message: message(1) })
    await send(answer, { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } })
    // Who leaves has read this far, and hears no more.
    if (end === 'leave') return
    if (end === 'cut') {
      answer.socket?.destroySoon()
      return
    }
    bill.set(name, costs(output))
    await send(answer, { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: output } })
    await send(answer, { type: 'message_stop' })
    answer.end()
  }
  return { script, bill, total: () => [...bill.values()].reduce((sum, one) => sum + one, 0n) }
}

/** The body of a request with this wish. */
export function wishing(model: string, wish: Wish): object {
  return {
    model,
    max_tokens: wish.output,
    stream: wish.end !== 'document' && wish.end !== 'refused',
    metadata: { user_id: JSON.stringify(wish) },
    messages: [{ role: 'user', content: 'Hello' }],
  }
}

function send(answer: ServerResponse, event: { type: string; [field: string]: unknown }): Promise<void> {
  return new Promise((resolve) =>
    answer.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`, () => resolve()),
  )
}

/** Asks, reads the answer as the wish has it, and says what came: the status, and whether it came to its end. */
export async function useUp(
  asking: (leaving: AbortSignal) => Promise<Response>,
  { end }: Wish,
): Promise<{ status: number; isWhole: boolean; name: string | null }> {
  const leaving = new AbortController()
  let [status, name, text]: [number, string | null, string] = [0, null, '']
  try {
    const answer = await asking(leaving.signal)
    status = answer.status
    name = answer.headers.get('request-id')
    const decoder = new TextDecoder()
    for await (const bytes of answer.body!) {
      text += decoder.decode(bytes as Uint8Array, { stream: true }) // a body's chunks are
      if (end === 'leave' && text.includes('content_block_delta')) leaving.abort()
    }
    const isWhole = status === 200 && (end === 'document' || end === 'refused' || text.includes('message_stop'))
    return { status, name, isWhole }
  } catch {
    return { status, name, isWhole: false }
  }
}
