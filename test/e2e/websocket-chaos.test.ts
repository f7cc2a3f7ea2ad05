import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { baseOf, connect, responsesUpstream, type Turn } from './websocket-client.fixture.ts'

const sockets = 100
const turnsEach = 10

/** Numbers between 0 and 1, the same in every run. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

describe('many sockets with random faults', () => {
  test('lose no event, mix none, and leave nothing behind', async () => {
    const chance = random(7)
    /** Every event says whose it is; one turn in five goes wrong, each in another way. */
    const unreliable: Turn = (say, { input }, socket) => {
      const fault = chance()
      const told = { token: input }
      if (fault < 0.05) return socket.terminate()
      say({ type: 'response.created', response: { id: 'resp_1' }, ...told })
      if (fault < 0.08) return say({ type: 'response.failed', response: { error: { code: 'slow_down' } }, ...told })
      if (fault < 0.12) return say({ type: 'error', status: 400, error: { code: 'invalid_prompt' }, ...told })
      const deltas = 1 + Math.floor(chance() * 5)
      const next = (at: number): void => {
        if (at === deltas) return say({ type: 'response.completed', response: {}, deltas, ...told })
        if (fault < 0.16 && at > 0) return socket.close(1011)
        if (fault < 0.2 && at > 0) return socket.terminate()
        say({ type: 'response.output_text.delta', at, ...told })
        setImmediate(next, at + 1)
      }
      next(0)
    }
    await using a = await responsesUpstream(unreliable)
    await using b = await responsesUpstream(unreliable)
    await using gw = await gateway({
      plugins: ['openai', 'failover', 'sticky-session', { concurrency: { per_client: 1000 } }],
      upstreams: [
        { name: 'a', provider: 'openai', url: baseOf(a), key: 'k', slots: 60 },
        { name: 'b', provider: 'openai', url: baseOf(b), key: 'k', slots: 60 },
      ],
    })
    const outcomes = { completed: 0, failed: 0, left: 0 }
    const live = async (number: number): Promise<void> => {
      const leaves = random(number + 1)
      let client = await connect(`${gw.url}/v1/responses`)
      for (let turn = 0; turn < turnsEach; turn++) {
        if (client.ws.readyState !== client.ws.OPEN) client = await connect(`${gw.url}/v1/responses`)
        const token = `${number}.${turn}`
        client.send({ type: 'response.create', model: 'm', input: token, store: leaves() < 0.8 })
        if (leaves() < 0.05) {
          client.ws.terminate()
          outcomes.left++
          continue
        }
        let at = 0
        for (let isOver = false; !isOver;) {
          const event = await client.next()
          // Our own errors are nobody's in particular.
          if (event.token !== undefined) assert.equal(event.token, token)
          if (event.type === 'response.output_text.delta') assert.equal(event.at, at++, 'no event is lost')
          if (event.type === 'response.completed') {
            assert.equal(event.deltas, at)
            outcomes.completed++
            isOver = true
          } else if (event.type === 'error' || event.type === 'response.failed') {
            outcomes.failed++
            isOver = true
            // Where it is closed, that comes right behind.
            if (event.token === undefined) await client.closed
          }
        }
      }
      client.ws.close()
      await client.closed
    }
    await Promise.all(Array.from({ length: sockets }, (_, number) => live(number)))
    assert.equal(outcomes.completed + outcomes.failed + outcomes.left, sockets * turnsEach)
    assert.ok(outcomes.completed > 0.7 * sockets * turnsEach, JSON.stringify(outcomes))
    await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
  })
})
