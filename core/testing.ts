/**
 * `postern/testing`: what a plugin is tested with. A gateway on real sockets, upstreams that say what a script says, the tests that
 * every plugin passes, and benchmarks that hold their rival. For tests only: it imports node:test.
 */
export { bench, type Measured } from './testing/bench.ts'
export { pluginContract, type ContractOptions } from './testing/contract.ts'
export {
  gateway,
  type GatewayOptions,
  type GatewaySurroundings,
  type LogRecord,
  type TestGateway,
} from './testing/gateway.ts'
export { rehearse, type Rehearsal } from './testing/rehearsal.ts'
export { answer, type Answering } from './testing/answers.ts'
export { cut, delay, failure, hang, inTurn, json, stream } from './testing/scripts.ts'
export { fakeUpstream, type Asked, type FakeUpstream, type Script } from './testing/upstream.ts'
