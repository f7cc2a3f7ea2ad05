/** What is secret appears on no page of the admin listener, wherever it was planted. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { act, upstreams } from './console.fixture.ts'

const canary = (what: string) => `sk-canary${what}0123456789abcdefghijklmn`

test('a canary that was planted in keys, headers, URLs, bodies, errors or files is on no page', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-planted-'))
  await using some = await upstreams({
    a: json(401, { error: { message: `Incorrect API key provided: ${canary('upstream')}` } }, { 'retry-after': '9' }),
    b: json(500, {
      error: {
        message: `x-api-key: ${canary('upstream2')} at https://u:${canary('url')}@host/?key=${canary('query2')}`,
      },
    }),
  })
  const errors = join(folder, 'errors.jsonl')
  const plugins = [
    { console: { errors } },
    'api-key-auth',
    'openai',
    'sticky-session',
    'concurrency',
    'failover',
    { 'ops-capture': { file: errors } },
  ]
  const options = {
    plugins,
    keys: [{ name: 'somebody', key: canary('caller') }],
    upstreams: some.list.map((one) => ({ ...one, key: canary('key') })),
    admin: { listen: '127.0.0.1:0', key: canary('admin') },
  }
  await using gw = await gateway(options)
  const headers = { authorization: `Bearer ${canary('admin')}` }
  for (const name of ['one', 'two']) {
    const answer = await fetch(`${gw.url}/v1/chat/completions/${canary('path')}?api_key=${canary('query')}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${canary('caller')}`,
        'content-type': 'application/json',
        cookie: `session=${canary('cookie')}`,
        'x-request-id': `${name}-${canary('id')}`,
      },
      body: JSON.stringify({ model: canary('model'), prompt_cache_key: canary('session'), api_key: canary('body') }),
    })
    await answer.text()
  }
  await writeFile(
    errors,
    `${JSON.stringify({ at: new Date().toISOString(), exchange: canary('file'), message: `password=${canary('file2')}`, path: `/x?key=${canary('file3')}`, request_body: canary('file4'), headers: { authorization: canary('file5') } })}\n`,
    { flag: 'a' },
  )
  await writeFile(
    gw.file,
    `# ${canary('comment')}\nupstreams:\n  - { name: a, provider: openai, key: ${canary('refused')}, wrong: ${canary('wrong')} }\n`,
  )
  await gw.sidecar.reload()
  const read = async (path: string) => (await fetch(gw.adminUrl + path, { headers })).text()

  const told = new Map<string, string>()
  const id = encodeURIComponent(`one-${canary('id')}`)
  for (const path of [
    '/healthz',
    '/readyz',
    '/metrics',
    '/gates',
    '/configuration',
    '/nothing',
    '/console',
    `/explain/${id}`,
    ...['upstreams', 'sessions', 'usage', 'errors'].map((name) => `/console/data/${name}`),
  ])
    told.set(path, await read(path))
  const events = await fetch(`${gw.adminUrl}/console/data/events`, { headers })
  const reader = events.body!.getReader()
  told.set('events', Buffer.from((await reader.read()).value ?? new Uint8Array()).toString())
  await reader.cancel()

  for (const [path, text] of told) assert.doesNotMatch(text, /canary/, `${path}: ${text}`)
  // They do tell something.
  assert.match(told.get('/console/data/errors') ?? '', /\[?\*\*\*/)
  assert.match(told.get(`/explain/${id}`) ?? '', /"attempts"/)
  assert.match(told.get('events') ?? '', /"exchanges":\[\{"number":2/)
  assert.match(told.get('/configuration') ?? '', /"refused": \{/)
  await rm(folder, { recursive: true })
})

test('what an action is sent is not repeated', async () => {
  await using some = await upstreams({ a: json(200, {}) })
  await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
  for (const body of [{ upstream: canary('name'), minutes: 5 }, `{ "upstream": "${canary('torn')}`, [canary('list')]])
    for (const path of ['/console/data/rest', '/console/data/unrest']) {
      const { status, value } = await act(gw, path, body)
      assert.equal(status, 404)
      assert.doesNotMatch(JSON.stringify(value), /canary/)
    }
  assert.doesNotMatch(JSON.stringify(gw.records), /canary/)
})
