/** What goes wrong once the client has part of an answer: nobody else is asked, whoever there is. */
import {
  first,
  gatewayErrors,
  reset,
  succeed,
  wholeAnswer,
  type GatewayError,
  type Lane,
  type Outcome,
  type Shape,
} from './shapes.ts'

/** What goes wrong once the answer has begun: a stream has its first content, a document more bytes than are held. */
export const lateShapes: readonly Shape[] = [
  {
    name: 'a first event that is no JSON',
    only: 'streams',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(`data: {"half":\n\n${wholeAnswer(lane, first)}`)
      wire.finish()
    },
    ...committed((lane) => ({ body: `data: {"half":\n\n${wholeAnswer(lane, first)}` })),
    restsAfter: () => null,
  },
  {
    name: 'a stall in the midst of an answer',
    timeouts: { idle: '400ms' },
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(lane.isStream ? begun(lane) : long('{"half":'))
    },
    ...committed((lane) =>
      lane.isStream
        ? { body: begun(lane) + told(lane, 'UPSTREAM_TIMEOUT'), error: 'IDLE_TIMEOUT' }
        : { body: long('{"half":'), isCut: true, error: 'IDLE_TIMEOUT' },
    ),
    restsAfter: () => 6,
  },
  {
    name: 'a cut in the midst of an event, or of a long document',
    act: (lane) => async (wire) => {
      succeed(wire, lane)
      wire.body(lane.isStream ? begun(lane) + lane.operation.content(first).slice(0, 25) : long('{"half":'))
      await wire.reached()
      wire.reset()
    },
    ...committed((lane) => ({
      body: lane.isStream ? begun(lane) + lane.operation.content(first).slice(0, 25) : long('{"half":'),
      isCut: true,
      error: reset,
    })),
    restsAfter: () => 6,
  },
  {
    name: 'a cut between two events, or behind a long document that looks whole',
    act: (lane) => async (wire) => {
      succeed(wire, lane)
      wire.body(lane.isStream ? begun(lane) : long(wholeAnswer(lane, first)))
      await wire.reached()
      wire.reset()
    },
    ...committed((lane) =>
      lane.isStream
        ? { body: begun(lane) + told(lane, 'UPSTREAM_BROKEN'), error: reset }
        : { body: long(wholeAnswer(lane, first)), isCut: true, error: reset },
    ),
    restsAfter: () => 6,
  },
  {
    name: 'an event that is no JSON, or a document that is none',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      wire.body(lane.isStream ? `${begun(lane)}data: {"half":\n\n${lane.operation.ending(first)}` : '{"half":')
      wire.finish()
    },
    // Passed on as it came: the gateway reads what it needs, and its client is told what the upstream said.
    ...committed((lane) => ({
      body: lane.isStream ? `${begun(lane)}data: {"half":\n\n${lane.operation.ending(first)}` : '{"half":',
    })),
    restsAfter: () => null,
  },
  {
    name: 'an error in the midst of an answer',
    act: (lane) => (wire) => {
      succeed(wire, lane)
      const { event, document } = lane.operation.overload
      wire.body(lane.isStream ? begun(lane) + event : long(document))
      wire.finish()
    },
    ...committed((lane) => {
      const { event, document } = lane.operation.overload
      return { body: lane.isStream ? begun(lane) + event : long(document) }
    }),
    restsAfter: () => null,
  },
]

/** The client has part of the answer: nobody else is asked, whoever there is. */
function committed(end: (lane: Lane) => Pick<Outcome, 'body' | 'isCut' | 'error'>): Pick<Shape, 'alone' | 'beside'> {
  const outcome = (lane: Lane): Outcome => ({ status: 200, asked: 1, warned: [], ...end(lane) })
  return { alone: outcome, beside: outcome }
}

/** As far as a stream has got when the client has its first content. */
const begun = ({ operation }: Lane) => operation.opening(first) + operation.content(first)

function told({ operation }: Lane, code: GatewayError): string {
  const [status, message] = gatewayErrors[code]
  return operation.told(status, code, message)
}

/** Far more than is held: after that a document is on its way too. */
const long = (text: string) => ' '.repeat(256 * 1024) + text
