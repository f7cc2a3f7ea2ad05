/** Upstreams that are mostly well and badly in spells, and a client of theirs that notices every wrong byte. */
import { setTimeout as sleep } from 'node:timers/promises'
import { json, type Asked, type Script } from '../fake-upstream.ts'

/** Mulberry32: the same numbers for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface Question {
  readonly id: string
  readonly stream: boolean
  readonly model: string
  readonly previous_response_id?: string
}

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
const pieceOf = (from: string, id: string, at: number) => ({
  from,
  ex: id,
  at,
  type: 'response.output_text.delta',
  delta: 'x',
})
const wholeOf = (from: string, id: string) => ({ from, ex: id, object: 'response', id: `resp_${from}_${id}` })
const pieces = 4

/** A whole answer, as the upstream sends it and as the client has to get it. */
export function answerOf(from: string, { id, stream }: Question): string {
  if (!stream) return JSON.stringify(wholeOf(from, id))
  const parts = Array.from({ length: pieces }, (_, at) => event(pieceOf(from, id, at)))
  return [event({ type: 'response.created', response: wholeOf(from, id) }), ...parts].join('')
}

/** Every piece of its answers names the upstream and the exchange. */
export function moody(name: string, random: () => number): Script {
  let spell: Script | null = null
  let left = 0
  const well: Script = async (asked, response, request) => {
    const question = questionOf(asked)
    await sleep(random() * 8)
    if (!question.stream) return json(200, wholeOf(name, question.id))(asked, response, request)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const part of answerOf(name, question).split(/(?<=\n\n)/)) {
      if (response.destroyed) return
      response.write(part)
      if (random() < 0.5) await sleep(random() * 4)
    }
    response.end()
  }
  const begin: Script = ({ body }, response) => {
    const question = questionOf({ body })
    const whole = answerOf(name, question)
    response.writeHead(200, { 'content-type': question.stream ? 'text/event-stream' : 'application/json' })
    // Anywhere: before the first content, between two events, in the midst of one.
    response.write(whole.slice(0, Math.ceil(random() * whole.length)), () => response.destroy())
  }
  const faults: readonly Script[] = [
    json(429, { error: { code: 'rate_limit_exceeded' } }, { 'retry-after-ms': '150' }),
    json(429, { error: {} }, { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '200ms' }),
    json(503, { error: {} }),
    json(529, { error: {} }, { 'retry-after': '1' }),
    json(500, { error: {} }),
    json(400, { error: { type: 'overloaded_error' } }),
    json(400, { error: { type: 'invalid_request_error' } }),
    (_asked, _response, request) => void request.socket.resetAndDestroy(),
    (_asked, _response, request) => void request.socket.end('nonsense\r\n\r\n'),
    (_asked, response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(),
    (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(event({ error: { type: 'server_error', code: 'server_is_overloaded' } }))
    },
    begin,
    // Says nothing at all, until the gateway or its client gives up.
    () => {},
  ]
  return (...more) => {
    if (left-- <= 0) {
      left = Math.floor(random() * 12)
      spell = random() < 0.12 ? (faults[Math.floor(random() * faults.length)] ?? null) : null
    }
    return (spell ?? well)(...more)
  }
}

// What the test itself has sent.
const questionOf = ({ body }: Pick<Asked, 'body'>) => JSON.parse(body.toString()) as Question

/** What a client makes of what it got: how it ended, who answered, and what is wrong with it. */
export interface Told {
  readonly end: 'whole' | 'cut' | 'refused' | 'left'
  readonly status: number
  readonly from: string | null
  /** Null: nothing. */
  readonly wrong: string | null
  readonly text: string
}

/** Asks as a client does; after `patience` ms, where that is not null, it leaves. */
export async function ask(url: string, session: string, question: Question, patience: number | null): Promise<Told> {
  const leaving = new AbortController()
  const timer = patience === null ? null : setTimeout(() => leaving.abort(), patience)
  let status = 0
  let text = ''
  let isCut = false
  try {
    const answer = await fetch(`${url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', session_id: session },
      body: JSON.stringify({ ...question, input: 'x' }),
      signal: leaving.signal,
    })
    status = answer.status
    const reader = answer.body?.getReader()
    for (let got = await reader?.read(); got && !got.done; got = await reader?.read())
      text += Buffer.from(got.value).toString()
  } catch (error) {
    isCut = true
    if (!leaving.signal.aborted && status === 0) return { end: 'cut', status, from: null, wrong: String(error), text }
  } finally {
    if (timer) clearTimeout(timer)
  }
  const seen = judge(question, text, isCut)
  if (leaving.signal.aborted) return { end: 'left', status, text, ...seen }
  if (status !== 200) return { end: 'refused', status, text, ...seen }
  return { end: isCut || text !== answerOf(seen.from ?? '', question) ? 'cut' : 'whole', status, text, ...seen }
}

/** Every piece is of one upstream and of this exchange, in order, each once. */
function judge(question: Question, text: string, isCut: boolean): Pick<Told, 'from' | 'wrong'> {
  const told = [...text.matchAll(/"from":"(\w)","ex":"(\w+)"(?:,"at":(\d))?/g)]
  const from = told[0]?.[1] ?? null
  const wrong = (what: string) => ({ from, wrong: `${what} in the answer to ${question.id}: ${text}` })
  if (told.some(([, one]) => one !== from)) return wrong('two upstreams')
  if (told.some(([, , id]) => id !== question.id)) return wrong('another exchange')
  const order = told.flatMap(([, , , at]) => (at === undefined ? [] : [Number(at)]))
  if (order.some((at, place) => at !== place)) return wrong('pieces out of order')
  if (from === null) return { from, wrong: null }
  const whole = answerOf(from, question)
  const isAsSent = text === whole || (isCut && whole.startsWith(text)) || brokenOff(whole, text)
  return isAsSent ? { from, wrong: null } : wrong('something else')
}

/** Whole events, and behind them the one in which the gateway says that no more will come. */
function brokenOff(whole: string, text: string): boolean {
  const at = text.indexOf('event: error\n')
  if (at === -1) return false
  const said = text.slice(0, at)
  return said.endsWith('\n\n') && whole.startsWith(said) && /^event: error\ndata: \{.*\}\n\n$/.test(text.slice(at))
}
