import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'

test('who serves a model is known after thousands of other names too', async () => {
  await using exact = await fakeUpstream(json(200, { from: 'exact' }))
  await using prefix = await fakeUpstream(json(200, { from: 'prefix' }))
  await using gw = await gateway({
    plugins: ['openai'],
    upstreams: [
      { name: 'exact', provider: 'openai', url: exact.url, key: 'k1', models: ['n'] },
      { name: 'prefix', provider: 'openai', url: prefix.url, key: 'k2', models: ['m-*'] },
    ],
  })
  const ask = async (model: string) => {
    const body = JSON.stringify({ model, messages: [] })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body })
    const told = (await answer.json()) as { from?: string; error?: { code?: string } } // theirs, or a refusal
    return told.from ?? told.error?.code
  }
  assert.equal(await ask('n'), 'exact')
  for (let at = 0; at < 300; at++) assert.equal(await ask(`m-${at}`), 'prefix')
  for (let at = 0; at < 300; at++) assert.match((await ask(`strange-${at}`)) ?? '', /no_model/i)
  assert.equal(await ask('n'), 'exact')
  assert.equal(await ask('m-0'), 'prefix')
})
