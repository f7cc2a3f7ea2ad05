/** What plugin authors rely on: a plugin of an older day goes on working, and nothing of the contract changes by itself. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'node:test'
import * as access from 'postern/access'
import * as plugin from 'postern/plugin'
import * as provider from 'postern/provider'
import * as testing from 'postern/testing'
import { contractReport } from './contract-report.ts'
import { fakeUpstream, json } from './fake-upstream.ts'
import { gateway } from './harness.ts'

const report = contractReport()

describe('the contract', () => {
  test('is what docs/contract.api.md says; whoever changes it generates that anew, and raises the version', () => {
    const written = readFileSync(new URL('../docs/contract.api.md', import.meta.url), 'utf8')
    assert.equal(written, report, 'stale: npm run generate, and see core/contract.ts for the version')
  })

  test('has every name in that report that a module has at run time', () => {
    for (const module of [plugin, provider, access, testing])
      for (const name of Object.keys(module)) assert.match(report, new RegExp(`\\b${name}\\b`), name)
  })

  test('tells types in that report, not only names', () => {
    for (const line of [
      'onRequest?(exchange: Exchange<R, W>): Maybe<Reply>;',
      'readonly config: C;',
      'authorize(outgoing: Outgoing, key: string | null): void;',
    ])
      assert.ok(report.includes(line), line)
  })
})

describe('a plugin that was written for 1.0 and never changed since', () => {
  const fixtures = fileURLToPath(new URL('./contract/', import.meta.url))

  test('walks every phase, reads and writes facts, and keeps what it shares', async () => {
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway(
      `upstreams: [{ name: u, provider: kept, url: "\${UPSTREAM}", key: k }]
plugins: [./v1/policy, { ./v1/provider: { as: kept } }, failover]`,
      { folder: fixtures, env: { UPSTREAM: upstream.url } },
    )
    const ask = (headers: Record<string, string> = {}) =>
      fetch(`${gw.url}/say`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ model: 'm', secret: 1 }),
      })
    const answer = await ask()
    assert.equal(answer.status, 200)
    const phases = 'onRequest onBody rankUpstreams onUpstreamRequest onUpstreamResult onResponse'
    assert.equal(answer.headers.get('x-phases'), phases)
    assert.deepEqual(await answer.json(), { ok: 'edited' })
    const [asked] = upstream.asked
    assert.deepEqual(JSON.parse(String(asked?.body)), { model: 'm', added: true })
    assert.equal(asked?.headers['x-kept-key'], 'k')
    assert.equal((await ask({ 'x-stop': 'yes' })).status, 429)
    const told = gw.records.find(({ message }) => message === 'ended')
    assert.deepEqual([told?.['kept'], told?.['model'], told?.['shared']], ['m', 'm', 'shared'])
  })
})
