/**
 * `postern/testing`: what a plugin is tested with. A gateway on real sockets, upstreams that say what a script says, the tests that
 * every plugin passes, and benchmarks that hold their rival. For tests only: it imports node:test.
 */
import { openGateway } from './testing/gateway.ts'
import type { GatewayOptions, GatewaySurroundings, TestGateway } from './testing/surface.ts'

/**
 * A gateway of gateway.yaml as a text or as an object, on ports that the system chooses. At the end of the block it is stopped, and the
 * test fails if a socket, timer or exchange is left. Rejects with ConfigError, which has every problem of the file.
 */
export const gateway: (options: GatewayOptions | string, around?: GatewaySurroundings) => Promise<TestGateway> =
  openGateway

export { bench, type Measured } from './testing/bench.ts'
export { virtualClock, type VirtualClock } from './testing/clock.ts'
export { pluginContract, type ContractOptions } from './testing/contract.ts'
export type {
  AskedFor,
  GatewayOptions,
  GatewaySurroundings,
  LogRecord,
  Rehearsal,
  TestGateway,
} from './testing/surface.ts'
export { rehearse } from './testing/rehearsal.ts'
export { answer, type Answering } from './testing/answers.ts'
export { cut, delay, failure, hang, inTurn, json, stream } from './testing/scripts.ts'
export { fakeUpstream, type Asked, type FakeUpstream, type Script } from './testing/upstream.ts'
