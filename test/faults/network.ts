/** Failures of the network, or of an upstream that says nothing of use: nobody has told the client anything yet. */
import {
  another,
  first,
  gatewayErrors,
  reset,
  soon,
  succeed,
  wholeAnswer,
  type GatewayError,
  type Shape,
} from './shapes.ts'

export const networkShapes: readonly Shape[] = [
  {
    name: 'a refused connection',
    isAbsent: true,
    act: () => () => {},
    ...network('UPSTREAM_UNREACHABLE', 'ECONNREFUSED'),
  },
  {
    name: 'a name that is not known',
    isAbsent: true,
    isCostly: true,
    url: () => 'http://nobody.invalid',
    act: () => () => {},
    ...network('UPSTREAM_UNREACHABLE', /^(ENOTFOUND|EAI_AGAIN)$/),
  },
  {
    name: 'TLS that is none',
    isDialed: true,
    url: (port) => `https://127.0.0.1:${port}`,
    act: () => () => {},
    ...network('UPSTREAM_UNREACHABLE', 'ERR_SSL_WRONG_VERSION_NUMBER'),
  },
  { name: 'a reset before the headers', act: () => (wire) => wire.reset(), ...network('UPSTREAM_BROKEN', reset) },
  {
    name: 'a reset after the headers',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.reset()
    },
    ...network('UPSTREAM_BROKEN', reset),
  },
  {
    name: 'headers that never come',
    timeouts: { headers: '400ms' },
    act: () => () => {},
    ...network('UPSTREAM_TIMEOUT', 'HEADERS_TIMEOUT', true),
  },
  {
    name: 'a first event that never comes',
    only: 'streams',
    timeouts: { first_event: '400ms' },
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(lane.operation.opening(first))
    },
    ...network('UPSTREAM_TIMEOUT', 'FIRST_EVENT_TIMEOUT', true),
  },
  {
    name: 'a 200 with nothing in it',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.finish()
    },
    ...network('UPSTREAM_BROKEN', 'EMPTY_ANSWER'),
  },
  {
    name: 'a cut in the midst of a document',
    only: 'documents',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(wholeAnswer(lane, first).slice(0, 20))
      wire.reset()
    },
    ...network('UPSTREAM_BROKEN', reset),
  },
  {
    name: 'a cut behind a document that looks whole',
    only: 'documents',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(wholeAnswer(lane, first))
      wire.reset()
    },
    ...network('UPSTREAM_BROKEN', reset),
  },
  {
    name: 'a stall in the midst of a document',
    only: 'documents',
    timeouts: { idle: '400ms' },
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(wholeAnswer(lane, first).slice(0, 20))
    },
    ...network('UPSTREAM_TIMEOUT', 'IDLE_TIMEOUT', true),
  },
  {
    name: 'a cut before the first content',
    only: 'streams',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(lane.operation.opening(first))
      wire.reset()
    },
    ...network('UPSTREAM_BROKEN', reset),
  },
  {
    name: 'an end before the first content',
    only: 'streams',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(lane.operation.opening(first))
      wire.finish()
    },
    ...network('UPSTREAM_BROKEN', 'EMPTY_ANSWER'),
  },
  {
    name: 'a 200 of no bytes, which says so',
    act: () => (wire) => wire.head(200, { 'content-type': 'text/event-stream', 'content-length': '0' }),
    ...network('UPSTREAM_BROKEN', 'EMPTY_ANSWER'),
  },
]

/** Nothing came of the network: asked once more, then told in the API's own words; beside another one, that one is asked. */
function network(
  code: GatewayError,
  reason: string | RegExp,
  isSlow = false,
): Pick<Shape, 'alone' | 'warned' | 'restsAfter'> {
  const failed = { status_code: null, error: reason, reason }
  const [status, message] = gatewayErrors[code]
  return {
    alone: ({ operation }) => ({
      status,
      body: operation.refusal(status, code, message),
      asked: 2,
      error: reason,
      warned: [another({ ...failed, next: 'same', delay_ms: soon })],
    }),
    warned: () => [another(failed)],
    // The circuit opens with the fifth error; of those that are a second old one more is needed.
    restsAfter: () => (isSlow ? 6 : 5),
  }
}
