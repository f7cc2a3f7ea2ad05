/** Failures that an upstream tells: statuses, rate limits in every form, and errors inside a 200. */
import { another, nameOf, soon, type Lane, type Outcome, type Shape, type Warning } from './shapes.ts'
import type { Act } from './wire.ts'

const words = 'what the upstream says'

const rests = (more: Warning): Warning => ({
  message: 'failover: the upstream is not well and rests',
  rest_kind: 'health',
  told_by: 'default',
  rest_s: 20,
  ...more,
})

/** An error that may be over in a moment: asked again where nobody else is, and it rests if it says that it has too much to do. */
function transient(
  codeOf: (lane: Lane) => number,
  isRest: boolean,
  rest: Warning = {},
): Pick<Shape, 'warned' | 'restsAfter'> & { again: (lane: Lane) => Pick<Outcome, 'asked' | 'warned'> } {
  const failed = (lane: Lane) => ({ status_code: codeOf(lane), reason: String(codeOf(lane)) })
  return {
    // The second time it rests for longer; nobody else is there, so it was asked all the same.
    again: (lane) => ({
      asked: 2,
      warned: [
        ...(isRest ? [rests({ ...failed(lane), ...rest })] : []),
        another({ ...failed(lane), next: 'same', delay_ms: soon }),
        ...(isRest && rest.rest_s === undefined ? [rests({ ...failed(lane), rest_s: 40 })] : []),
      ],
    }),
    warned: (lane) => [...(isRest ? [rests({ ...failed(lane), ...rest })] : []), another(failed(lane))],
    // Without a rest of its own the circuit opens with the fifth error.
    restsAfter: () => (isRest ? 1 : 5),
  }
}

function says(status: number, headers: Readonly<Record<string, string>>, document: (lane: Lane) => string) {
  return (lane: Lane): Act =>
    (wire) => {
      const body = document(lane)
      wire.head(status, {
        'content-type': 'application/json',
        'content-length': `${Buffer.byteLength(body)}`,
        ...headers,
      })
      wire.body(body)
    }
}

function status(code: number, headers: Readonly<Record<string, string>> = {}, rest: Warning = {}): Shape {
  const { again, ...more } = transient(() => code, code === 503 || code === 529, rest)
  const document = ({ operation }: Lane) => operation.error(code, words)
  return {
    name: `a ${code}${Object.keys(headers)
      .map((name) => ` with ${name}`)
      .join('')}`,
    act: says(code, headers, document),
    alone: (lane) => ({ status: code, body: document(lane), ...retryAfter(headers), ...again(lane) }),
    ...more,
  }
}

function retryAfter(headers: Readonly<Record<string, string>>): Pick<Outcome, 'retryAfter'> {
  return headers['retry-after'] === undefined ? {} : { retryAfter: headers['retry-after'] }
}

const overloaded = transient(({ operation }) => operation.overload.status, true)

const inside: Shape = {
  name: 'an error that comes first, inside a 200',
  act: (lane) => (wire) => {
    const { operation } = lane
    wire.head(200, { 'content-type': lane.isStream ? 'text/event-stream' : 'application/json' })
    wire.body(lane.isStream ? operation.opening('first') + operation.overload.event : operation.overload.document)
    wire.finish()
  },
  alone: (lane) => ({
    status: 200,
    body: lane.isStream
      ? lane.operation.opening('first') + lane.operation.overload.event
      : lane.operation.overload.document,
    ...overloaded.again(lane),
  }),
  warned: overloaded.warned,
  restsAfter: overloaded.restsAfter,
}

interface Limit {
  readonly headers?: () => Readonly<Record<string, string>>
  /** A body of the upstream's; absent: an error in the words of its API. */
  readonly body?: string
  readonly toldBy: string
  readonly isOfModel?: boolean
  /** Where it is not thirty. */
  readonly seconds?: number
}

/** Asked once; it rests for as long as it says, in whichever way it says it, and its own answer is what the client gets. */
function limit(name: string, { headers = () => ({}), body, toldBy, isOfModel, seconds = 30 }: Limit): Shape {
  const document = ({ operation }: Lane) => body ?? operation.error(429, words)
  /** By lane: moments are told anew each time. */
  const sent = new Map<string, Readonly<Record<string, string>>>()
  const line = (lane: Lane): Warning => ({
    message: 'failover: a rate limit is reached, the upstream rests',
    status_code: 429,
    reason: '429',
    rest_kind: 'limit',
    told_by: toldBy,
    // Moments are told in whole seconds.
    rest_s: new RegExp(`^(${[0, 1, 2].map((late) => seconds + rounding - late).join('|')})$`),
    model: isOfModel ? nameOf(lane) : undefined,
  })
  return {
    name: `a 429 with ${name}`,
    act: (lane) => (wire) => {
      sent.set(nameOf(lane), headers())
      return says(429, sent.get(nameOf(lane))!, document)(lane)(wire)
    },
    alone: (lane) => ({
      status: 429,
      body: document(lane),
      ...retryAfter(sent.get(nameOf(lane)) ?? {}),
      asked: 1,
      warned: [line(lane)],
    }),
    warned: (lane) => [line(lane), another({ status_code: 429, reason: '429' })],
    restsAfter: () => 1,
    refuses: { status: 429, code: 'UPSTREAMS_LIMITED', message: 'Every upstream has reached a limit', seconds },
  }
}

/** A whole second: so much ahead, and less than one more. */
const rounding = 1
const inSeconds = (seconds: number) => new Date(Math.ceil(Date.now() / 1000 + seconds) * 1000)

const limits: readonly Shape[] = [
  limit('nothing more', { toldBy: 'default', seconds: 10 }),
  limit('Retry-After in seconds', { headers: () => ({ 'retry-after': '30' }), toldBy: 'retry-after' }),
  limit('Retry-After as a date', {
    headers: () => ({ 'retry-after': inSeconds(3600).toUTCString() }),
    toldBy: 'retry-after',
    seconds: 3600,
  }),
  limit('retry-after-ms', { headers: () => ({ 'retry-after-ms': '30000' }), toldBy: 'retry-after-ms' }),
  limit('x-ratelimit-reset', {
    headers: () => ({ 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '30s' }),
    toldBy: 'x-ratelimit-reset-requests',
    isOfModel: true,
  }),
  limit('a reset of anthropic-ratelimit-tokens', {
    headers: () => ({
      'anthropic-ratelimit-tokens-remaining': '0',
      'anthropic-ratelimit-tokens-reset': inSeconds(3600).toISOString(),
    }),
    toldBy: 'anthropic-ratelimit-tokens-reset',
    isOfModel: true,
    seconds: 3600,
  }),
  limit('a spent window of anthropic-ratelimit-unified', {
    headers: () => ({
      'anthropic-ratelimit-unified-5h-status': 'rejected',
      'anthropic-ratelimit-unified-5h-reset': String(inSeconds(3600).getTime() / 1000),
      'retry-after': '30',
    }),
    toldBy: 'anthropic-ratelimit-unified-5h-reset',
    seconds: 3600,
  }),
  limit('Google’s RetryInfo', {
    body: JSON.stringify({
      error: {
        code: 429,
        status: 'RESOURCE_EXHAUSTED',
        message: words,
        details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '30s' }],
      },
    }),
    toldBy: 'RetryInfo',
  }),
  limit('OpenAI’s hint', {
    body: JSON.stringify({
      error: { message: 'Rate limit reached. Please try again in 30s.', code: 'rate_limit_exceeded' },
    }),
    toldBy: 'message',
  }),
]

/** A credential that is no good rests for ten minutes; that is no limit. */
function refused(code: number): Shape {
  const failed: Warning = { status_code: code, reason: String(code) }
  const line: Warning = {
    ...failed,
    message: 'failover: the credential was refused, look at it; it is not used for a while',
    rest_kind: 'refused',
    rest_s: 600,
    told_by: 'default',
  }
  const document = ({ operation }: Lane) => operation.error(code, words)
  return {
    name: `a ${code}`,
    act: says(code, {}, document),
    alone: (lane) => ({ status: code, body: document(lane), asked: 1, warned: [line] }),
    warned: () => [line, another(failed)],
    restsAfter: () => 1,
    refuses: { status: 503, code: 'NO_UPSTREAM', message: 'No upstream can take this exchange', seconds: 600 },
  }
}

export const toldShapes: readonly Shape[] = [
  inside,
  ...limits,
  ...[500, 502, 503, 504, 529].map((code) => status(code)),
  status(503, { 'retry-after': '30' }, { rest_s: 30, told_by: 'retry-after' }),
  ...[401, 402, 403].map(refused),
]
