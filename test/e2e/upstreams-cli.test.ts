/** `postern upstreams`, as an operator meets it: beside a gateway that runs. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, toYaml, type GatewayOptions } from '../harness.ts'
import { until } from '../redis.ts'
import { freePort } from '../redis-server.ts'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))

async function postern(...words: string[]): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, [bin, ...words], { env: { PATH: process.env.PATH } })
  let out = ''
  child.stdout.on('data', (text) => (out += String(text)))
  child.stderr.on('data', (text) => (out += String(text)))
  const [code] = await once(child, 'close')
  return { code: code as number | null, out } // as 'close' tells it
}

const key = 'an-admin-key-of-some-length'

/** A gateway whose first upstream has reached a limit; the admin listener wants its key. */
async function scene(options: Partial<GatewayOptions> = {}) {
  const bad = await fakeUpstream(json(429, { error: {} }, { 'retry-after': '600' }))
  const good = await fakeUpstream(json(200, { ok: true }))
  const gw = await gateway({
    plugins: [{ console: { path: '/ops' } }, 'openai', 'concurrency', 'failover'],
    upstreams: [
      { name: 'bad', provider: 'openai', url: bad.url, key: 'k', priority: 1, slots: 4 },
      { name: 'good', provider: 'openai', url: good.url, key: 'k', priority: 2 },
    ],
    admin: { listen: `127.0.0.1:${await freePort()}`, key },
    ...options,
  })
  return {
    gw,
    bad,
    ask: async () =>
      (
        await fetch(`${gw.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"model":"m"}',
        })
      ).text(),
    cli: (...words: string[]) => postern('upstreams', ...words, '--config', gw.file),
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      await Promise.all([bad, good].map((one) => one[Symbol.asyncDispose]()))
    },
  }
}

describe('postern upstreams', () => {
  test('lists them with rests and slots, ends a rest, and sets one aside', async () => {
    await using it = await scene()
    await it.ask()
    await it.ask()
    const listed = await it.cli()
    assert.equal(listed.code, 0, listed.out)
    assert.match(listed.out, /^NAME +PROVIDER +STATE/)
    assert.match(listed.out, /^bad +openai +is resting until \d{4}-.* 0 of 4 +1 +\d+\.\d % +- +429$/m)
    assert.match(listed.out, /^good +openai +is asked +- +2 +0\.0 % +\d+ ms +-$/m)

    it.bad.script = json(200, { ok: true })
    assert.deepEqual(await it.cli('wake', 'bad'), { code: 0, out: 'bad is asked again\n' })
    await until(async () => {
      await it.ask()
      return it.bad.asked.length > 1
    })

    const rested = await it.cli('rest', 'bad', '10m')
    assert.equal(rested.code, 0)
    assert.match(rested.out, /^bad is set aside until \d{4}-/)
    const before = it.bad.asked.length
    await it.ask()
    assert.equal(it.bad.asked.length, before)
    const { upstreams } = JSON.parse((await it.cli('list', '--json')).out) as { upstreams: { aside_until: string }[] } // as the page tells
    const left = Date.parse(upstreams[0]?.aside_until ?? '') - Date.now()
    assert.ok(left > 9 * 60_000 && left <= 10 * 60_000)
  })

  test('says what is wrong with a call, with a name, or with the gateway', async () => {
    await using it = await scene()
    for (const words of [
      ['rest'],
      ['rest', 'bad'],
      ['rest', 'bad', 'soon'],
      ['wake'],
      ['list', 'bad'],
      ['sleep', 'bad'],
    ]) {
      const { code, out } = await it.cli(...words)
      assert.equal(code, 2, words.join(' '))
      assert.match(out, /rest NAME 10m/)
    }
    assert.deepEqual(await it.cli('wake', 'nobody'), { code: 1, out: 'no such upstream\n' })
    assert.deepEqual(await it.cli('rest', 'bad', '2d'), { code: 1, out: 'minutes is 1 to 1440\n' })

    const folder = await mkdtemp(join(tmpdir(), 'postern-cli-'))
    try {
      const file = join(folder, 'gateway.yaml')
      const say = async (options: GatewayOptions) => {
        await writeFile(file, toYaml(options, new Map()))
        return postern('upstreams', '--config', file)
      }
      const admin = { listen: `127.0.0.1:${await freePort()}` }
      for (const [options, words] of [
        [{ plugins: ['console', 'openai'], admin }, /^no gateway answers on 127\.0\.0\.1:\d+: /],
        [{ plugins: ['openai'], admin }, /^upstreams are told by the plugin console/],
        [{ plugins: ['console', 'openai'], admin: false }, /^gateway\.yaml has admin: false/],
        [{ plugins: ['console', 'openai'] }, /^admin\.listen is 127\.0\.0\.1:0: which port/],
      ] as const) {
        const { code, out } = await say(options)
        assert.equal(code, 1)
        assert.match(out, words)
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('reaches a listener on a socket of the file system', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-cli-'))
    await using it = await scene({ admin: { listen: `unix:${join(folder, 'admin')}` } })
    const { code, out } = await it.cli()
    assert.equal(code, 0, out)
    assert.match(out, /^good /m)
    await rm(folder, { recursive: true })
  })
})
