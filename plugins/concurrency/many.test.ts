/** More upstreams than an exchange looks at. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeUpstream } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { holding, until } from './concurrency.fixture.ts'

const count = 80

for (const plugins of [['concurrency'], ['concurrency', 'failover']]) {
  test(`each of many upstreams has its slot taken before anybody waits (${plugins.join(', ')})`, async () => {
    const held = holding()
    await using upstream = await fakeUpstream(held.script)
    await using gw = await gateway({
      plugins: ['openai', ...plugins],
      upstreams: Array.from({ length: count }, (_, at) => ({
        name: `u${at}`,
        provider: 'openai',
        url: upstream.url,
        key: `key-${at}`,
        slots: 1,
      })),
    })
    const ask = () =>
      fetch(`${gw.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"model":"m"}',
      })
    const asked = []
    // One after the other: who comes when all but one are taken finds that one.
    for (let at = 1; at <= count; at++) {
      asked.push(ask())
      await until(`upstream ${at} is asked`, () => held.open.length === at)
    }
    assert.equal(new Set(upstream.asked.map(({ headers }) => headers.authorization)).size, count)
    const late = ask()
    held.finish()
    await until('the slot that came free is taken', () => upstream.asked.length === count + 1)
    held.finishAll()
    for (const answer of await Promise.all([...asked, late])) assert.equal(answer.status, 200)
  })
}
