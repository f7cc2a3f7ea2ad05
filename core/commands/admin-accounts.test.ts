import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { scratchFolder } from '../../test/postgres.ts'
import { until } from '../database/until.fixture.ts'
import { operator, postern, secret } from './admin.fixture.ts'

const upstreamKey = 'sk-upstream-key-that-nobody-may-see'

describe('postern accounts', () => {
  test('adds one with a credential that is sealed, and shows it nowhere', async () => {
    await using op = await operator()
    const added = await op.run(
      ['accounts', 'add', 'main', '--platform', 'openai', '--key-stdin', '--models', 'gpt-5*,o3'],
      {
        input: `${upstreamKey}\n`,
      },
    )
    assert.deepEqual([added.code, added.out, added.err], [0, 'Account 1 is there.\n', ''])
    const { rows } = await op.db.query<{ credentials: Buffer }>('SELECT credentials FROM accounts')
    assert.ok(!rows[0]!.credentials.includes('sk-upstream'))
    const table = await op.run(['accounts', 'list'])
    assert.match(table.out, /^id +name +platform +state +key .*\n1 +main +openai +ready +sealed +- +gpt-5\*,o3 +50 +3 /)
    assert.doesNotMatch(table.out + JSON.stringify(await op.json('accounts', 'list')), /sk-upstream|credentials":\{/)
  })

  test('does not take a credential from the command line, nor without a secret to seal it with', async () => {
    await using op = await operator()
    const words = ['accounts', 'add', 'main', '--platform', 'openai']
    const spelt = await op.run([...words, '--key', upstreamKey])
    assert.equal(spelt.code, 2)
    assert.doesNotMatch(spelt.err, /sk-upstream/)
    const keyless = await op.run([...words, '--key-env', 'UP'], { env: { UP: upstreamKey, ACCOUNTS_SECRET: '' } })
    assert.equal(keyless.code, 1)
    assert.match(keyless.err, /accounts has no secrets to seal credentials with/)
    const unset = await op.run([...words, '--key-env', 'NOT_SET'])
    assert.match(unset.err, /the environment variable NOT_SET is not set/)
    const short = await op.run([...words, '--key-env', 'UP'], { env: { UP: upstreamKey, ACCOUNTS_SECRET: 'short' } })
    assert.match(short.err, /fewer than 32 characters/)
    const { rows } = await op.db.query('SELECT FROM accounts')
    assert.equal(rows.length, 0, 'and nothing is added')
  })

  test('seals anew for a new secret: all of them, or none', async () => {
    await using op = await operator()
    for (const name of ['a', 'b'])
      await op.run(['accounts', 'add', name, '--platform', 'openai', '--key-stdin'], { input: upstreamKey })
    const next = 'another secret, which takes the place of the first'
    const file = join(op.folder, 'gateway.yaml')
    const yaml = (secrets: string) =>
      `database: "${op.url}"\nplugins:\n  - openai\n  - accounts: { secrets: [${secrets}] }\n`
    const env = { NEXT: next }
    const reseal = () => op.run(['accounts', 'reseal', '--json'], { env })
    await writeFile(file, yaml('"${NEXT}"'))
    const { out } = await reseal()
    assert.match(
      JSON.parse(out).error,
      /account 1: its credentials cannot be opened: .*not in secrets.*nothing was changed/,
    )
    await writeFile(file, yaml('"${NEXT}", "${ACCOUNTS_SECRET}"'))
    assert.deepEqual(JSON.parse((await reseal()).out), { ok: true, resealed: 2 })
    assert.deepEqual(JSON.parse((await reseal()).out), { ok: true, resealed: 0 })
    await writeFile(file, yaml('"${NEXT}"'))
    assert.deepEqual(JSON.parse((await reseal()).out), { ok: true, resealed: 0 })
  })

  test('is heard by a running gateway: added, rested, woken, disabled, enabled, moved, removed', async () => {
    await using op = await operator()
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await op.db.transaction((query) => query('SELECT 1'))
    await using gw = await gateway({
      database: op.url,
      plugins: ['openai', { accounts: { secrets: [secret], allow_private: true } }],
    })
    const answers = (status: number) =>
      until(async () => {
        const headers = { 'content-type': 'application/json' }
        const answer = await fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body: '{"model":"m"}' })
        await answer.text()
        return answer.status === status
      })
    await answers(503)
    await op.run(['accounts', 'add', 'main', '--platform', 'openai', '--url', upstream.url, '--key-stdin'], {
      input: upstreamKey,
    })
    await answers(200)
    assert.equal(upstream.asked[0]?.headers.authorization, `Bearer ${upstreamKey}`)
    await op.json('accounts', 'rest', 'main', '--for', '1h', '--reason', 'too dear')
    await answers(503)
    const { out } = await op.run(['accounts', 'list'])
    assert.match(out, /resting .* too dear, until \d{4}-/)
    await op.json('accounts', 'unrest', 'main')
    await answers(200)
    await op.json('accounts', 'disable', '1')
    await answers(503)
    await op.json('accounts', 'enable', 'main')
    await answers(200)
    await op.json('groups', 'add', 'acme')
    await op.json('accounts', 'set', 'main', '--groups', 'acme')
    await answers(503)
    await op.json('accounts', 'set', 'main', '--groups', 'none')
    await answers(200)
    await op.json('accounts', 'remove', 'main')
    await answers(503)
    const { rows } = await op.db.query<{ credentials: unknown }>('SELECT credentials FROM accounts')
    assert.equal(rows[0]?.credentials, null, 'what cannot be asked for any more is not kept')
  })

  test('reach the embedded database of a gateway that is running, and start it where none is', async () => {
    const folder = scratchFolder('postern-admin-embedded-')
    const database = `embedded:${folder}`
    try {
      {
        await using gw = await gateway({
          database,
          plugins: ['openai', { accounts: { secrets: [secret], allow_private: true } }],
        })
        const add = () => postern(['users', 'add', 'ann@example.com', '--database', database])
        let told = await add()
        await until(async () => {
          if (told.code !== 0) told = await add()
          return told.code === 0
        })
        assert.equal(told.out, 'User 1 is there.\n')
        assert.ok(gw.url)
      }
      const { out } = await postern(['users', 'list', '--database', database])
      assert.match(out, /^1 +ann@example\.com /m)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
