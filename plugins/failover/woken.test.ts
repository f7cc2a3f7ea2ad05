import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definePlugin, type Store } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { freshRedis } from '../../test/redis.ts'

for (const kind of ['memory', 'redis'] as const) {
  test(`an upstream whose rest an operator has ended is asked at once, with store: ${kind}`, async () => {
    await using redis = kind === 'redis' ? await freshRedis() : null
    let store: Store | null = null
    const spy = definePlugin({
      name: 'spy',
      config: { type: 'object', properties: {} },
      setup(context) {
        store = context.store
        return {}
      },
    })
    await using resting = await fakeUpstream(json(429, { error: {} }, { 'retry-after': '600' }))
    await using other = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway({
      store: redis?.url ?? 'memory',
      plugins: ['openai', spy, 'failover'],
      upstreams: [
        { name: 'a', provider: 'openai', url: resting.url, key: 'k', priority: 1 },
        { name: 'b', provider: 'openai', url: other.url, key: 'k', priority: 2 },
      ],
    })
    const ask = async () =>
      (
        await fetch(`${gw.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"model":"m"}',
        })
      ).text()
    await ask()
    await ask()
    assert.equal(resting.asked.length, 1, 'it rests')
    resting.script = json(200, { ok: true })
    await store!.publish('upstreams_woken', 'a')
    const deadline = Date.now() + 5000
    while (resting.asked.length === 1 && Date.now() < deadline) await ask()
    assert.equal(resting.asked.length, 2)
  })
}
