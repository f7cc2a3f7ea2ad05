import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type Store } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { freshRedis, until } from '../../test/redis.ts'

/** Counts exchanges in the store, and shows the store that it was given. */
function counting() {
  const given: Store[] = []
  const plugin = definePlugin({
    name: 'counting',
    config: { type: 'object', additionalProperties: false, properties: {} },
    setup({ store }) {
      given.push(store)
      return {
        async onRequest() {
          await store.increment('exchanges', 1, 60_000).catch(() => {})
        },
      }
    },
  })
  return { plugin, given }
}

describe('store: in gateway.yaml', () => {
  test('is memory where nothing is said, and outlives a reload', async () => {
    const { plugin, given } = counting()
    await using upstream = await fakeUpstream(json(200, {}))
    const options = { plugins: [plugin, 'openai'], upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }] }
    await using gw = await gateway(options)
    await (await fetch(`${gw.url}/v1/models`)).text()
    assert.deepEqual(await gw.reload({ ...options, log: { level: 'error' } }), [])
    assert.equal(given.length, 2)
    assert.equal(given[0], given[1])
    assert.equal(await given[1]?.get('exchanges'), '1')
    assert.equal(given[0]?.kind, 'memory')
  })

  test('may name a Redis that is not there yet: exchanges are served, and counted from when it is', async () => {
    const { plugin, given } = counting()
    await using redis = await freshRedis()
    await redis.stop()
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: [plugin, 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
      store: redis.url,
    })
    const ask = async () => {
      const response = await fetch(`${gw.url}/v1/models`)
      await response.text()
      return response.status
    }
    assert.equal(await ask(), 200)
    assert.equal(given[0]?.health.isUp, false)
    await redis.start()
    await until(() => given[0]?.health.isUp === true)
    assert.equal(await ask(), 200)
    assert.equal(await redis.ask('GET', 'exchanges'), '1')
    // Redis goes first: the gateway stops all the same, and leaves nothing open.
    await redis.stop()
    assert.equal(await ask(), 200)
  })

  test('is another one after a reload that says so, and the first is closed', async () => {
    const { plugin, given } = counting()
    await using redis = await freshRedis()
    await using upstream = await fakeUpstream(json(200, {}))
    const options = { plugins: [plugin, 'openai'], upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }] }
    await using gw = await gateway({ ...options, store: redis.url })
    await until(() => given[0]?.health.isUp === true)
    assert.deepEqual(await gw.reload({ ...options, store: 'memory' }), [])
    assert.equal(given[1]?.kind, 'memory')
    await until(() => given[0]?.health.isUp === false)
    // Who asks is the only one left.
    await until(
      async () =>
        String(await redis.ask('CLIENT', 'LIST'))
          .trim()
          .split('\n').length === 1,
    )
  })
})
