/** The kit that plugin authors use is the one that these tests use. */
export { fakeUpstream, type Asked, type FakeUpstream, type Script } from '../core/testing/upstream.ts'
export { json, stream } from '../core/testing/scripts.ts'
