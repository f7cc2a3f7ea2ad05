import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { defineProvider, type Usage } from 'postern/provider'
import { fakeUpstream, gateway, json, pluginContract, stream } from 'postern/testing'
import quill from './index.ts'

pluginContract(quill, { folder: new URL('./', import.meta.url) })

const write = (url: string) =>
  fetch(`${url}/quill/write`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"pen":"goose","live":true}',
  })

test('a blot before the first word is not the last word, and ink is counted', async () => {
  const used: (Usage | null)[] = []
  const meter = definePlugin({
    name: 'meter',
    config: { type: 'object', description: 'Counts ink.' },
    reads: ['usage'],
    setup: () => ({ onEnd: ({ facts }) => void used.push(facts.usage) }),
  })
  await using dry = await fakeUpstream(json(200, { blot: { message: 'no ink' } }))
  await using full = await fakeUpstream(stream(Buffer.from('data: {"word":"Once","ink":{"written":3}}\n\n'), 7))
  const upstreams = [dry, full].map(({ url }, at) => ({
    name: `q${at}`,
    provider: 'quill',
    url,
    key: 'k',
    priority: at,
  }))
  await using gw = await gateway({ plugins: [quill, meter, 'failover'], upstreams })
  assert.match(await (await write(gw.url)).text(), /Once/)
  while (used.length === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(used[0]?.output, 3)
})

test('what the gateway refuses is a blot too', async () => {
  await using gw = await gateway({ plugins: [quill] })
  assert.match(await (await write(gw.url)).text(), /"blot":.*NO_UPSTREAM/)
})

test('misuse does not compile', () => {
  // @ts-expect-error -- a dialect says how keys are sent
  defineProvider({ name: 'x', description: 'x', url: null, dialect: () => ({ claims: () => null, fields: {} }) })
})
