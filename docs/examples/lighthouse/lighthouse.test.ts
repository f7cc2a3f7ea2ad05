import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineProvider } from 'postern/provider'
import { answer, failure, fakeUpstream, gateway, pluginContract } from 'postern/testing'
import lighthouse from './index.ts'

pluginContract(lighthouse, { folder: new URL('./', import.meta.url) })

test('asks the next upstream, each with its key where this API wants it', async () => {
  await using dark = await fakeUpstream(failure(418))
  await using lit = await fakeUpstream(answer('Land ahoy'))
  const upstream = (name: string, url: string) => ({ name, url, provider: 'lighthouse', key: `key-of-${name}` })
  await using gw = await gateway({
    plugins: [lighthouse, 'failover'],
    upstreams: [
      { ...upstream('dark', dark.url), priority: 1 },
      { ...upstream('lit', lit.url), priority: 2 },
    ],
  })
  const told = await fetch(`${gw.url}/lighthouse/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer of-the-client' },
    body: '{"model":"beam-1","messages":[]}',
  })
  assert.match(await told.text(), /Land ahoy/)
  assert.equal(dark.asked.length, 1)
  const { headers } = lit.asked[0]!
  assert.deepEqual([headers['x-lighthouse-key'], headers.authorization], ['key-of-lit', undefined])
})

test('misuse does not compile', () => {
  const base = { name: 'x', description: 'x', url: null }
  // @ts-expect-error -- there is no option "headr"
  defineProvider({ ...base, options: { header: { type: 'string' } }, dialect: ({ headr }, [openai]) => openai!(headr) })
})
