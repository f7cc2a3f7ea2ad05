import { describe, test } from 'node:test'
import { runCases } from '../conformance/websocket-runner.ts'
import { wsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { baseOf } from './websocket-client.fixture.ts'

describe('RFC 6455 holds for a peer that shares no code with the gateway', () => {
  for (const [what, path, limit] of [
    ['a session', '/v1/realtime', 16 * 2 ** 20],
    // Here the limit is the upstream's.
    ['a tunnel', '/v1/elsewhere', 2 ** 20],
  ] as const) {
    test(`through ${what}`, async (t) => {
      await using upstream = await wsUpstream({ maxPayload: limit })
      await using gw = await gateway({
        plugins: ['openai'],
        upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
      })
      await runCases(new URL(gw.url.replace('http', 'ws') + path), t, { limit })
    })
  }
})
