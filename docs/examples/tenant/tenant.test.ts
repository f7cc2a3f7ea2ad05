import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { answer, fakeUpstream, gateway, pluginContract } from 'postern/testing'
import tenant from './index.ts'

pluginContract(tenant, { folder: new URL('./', import.meta.url), options: { tenants: { acme: ['small'] } } })

test('a tenant has the models it has, and what it used is in the log', async () => {
  await using upstream = await fakeUpstream(answer('Hello', { tokens: { input: 1, output: 7 } }))
  await using gw = await gateway(
    'upstreams: [{ name: o, provider: openai, url: "${URL}", key: k }]\nplugins: [openai, { tenant: { tenants: { acme: [small] } } }]',
    { plugins: [tenant], env: { URL: upstream.url } },
  )
  const ask = (name: string, model: string) =>
    fetch(`${gw.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-tenant': name },
      body: JSON.stringify({ model }),
    })
  assert.deepEqual([(await ask('acme', 'small')).status, (await ask('acme', 'large')).status], [200, 404])
  assert.equal((await ask('nobody', 'small')).status, 403)
  assert.equal(gw.records.find(({ tenant: name }) => name === 'acme')?.['tokens'], 7)
})

test('misuse does not compile', () => {
  definePlugin({
    name: 'x',
    config: { type: 'object', properties: { limit: { type: 'integer', default: 1 } } },
    reads: ['tenant'],
    setup: ({ config: { limit } }) => ({
      onRequest({ facts }) {
        // @ts-expect-error -- limit is a number
        limit.trim()
        // @ts-expect-error -- a fact that is only read
        facts.tenant = 'x'
        // @ts-expect-error -- a fact that was not declared
        return facts.usage
      },
    }),
  })
})
