/** What docs/clients.md says was run: by tests that are there, in versions that are installed, and its code as it stands. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { issuer } from './certificates.ts'
import { at, blocks, page, rows, run, runProgram, withoutCurl, type Row } from './clients-page.ts'
import { wsUpstream } from './conformance/websocket-upstream.ts'
import { baseOf } from './e2e/websocket-client.fixture.ts'
import { fakeUpstream, json } from './fake-upstream.ts'
import { gateway } from './harness.ts'
import { providers } from './sdks.ts'
import { clientNames, versions } from './slow/langchain-process.fixture.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> } // our own file
const known: Readonly<Record<string, string>> = { ...devDependencies, ...versions }
const sdks = ['openai', '@anthropic-ai/sdk', '@google/genai']

/** A test with the fixtures and the other files beside it that it stands on. */
function sourceOf(path: string, seen = new Set<string>()): string {
  if (seen.has(path)) return ''
  seen.add(path)
  const text = read(path)
  const beside = [...text.matchAll(/'(\.[\w./-]+(?:\.fixture|sdks)\.ts)'/g)].map(([, name = '']) => name)
  return [text, ...beside.map((name) => sourceOf(join(dirname(path), name), seen))].join('\n')
}

describe(`the table of ${page}`, () => {
  test('has every client that is tried', () => {
    const named = new Set(rows().map(({ client }) => client))
    for (const name of [...sdks, ...Object.keys(versions), 'curl'])
      assert.ok(name === '@langchain/core' || named.has(name), name)
    assert.ok(read(page).includes(`\`@langchain/core\` ${versions['@langchain/core']}`))
    for (const name of clientNames) assert.ok(read(page).includes(`new ${name.split(',')[0]}({`), name)
  })

  for (const row of rows()) {
    const { client, version, calls } = row
    describe(`in ${client ?? 'the row of all SDKs'}: ${calls[0] ?? 'no calls'}`, () => {
      test('names a test that is there, of that client', () => assert.ok(isOf(row), `${row.test} is no test of it`))

      test('names calls that the test makes', () => {
        const source = sourceOf(row.test)
        for (const call of calls)
          assert.match(source, new RegExp(`${call.replaceAll('.', '\\.')}(?!\\w)`), `${row.test} has no ${call}`)
      })

      test('names the version that is installed', (context) => {
        if (client === null) return assert.equal(version, '')
        if (client !== 'curl') return assert.equal(version, known[client])
        if (withoutCurl !== false) return context.skip(withoutCurl)
        const { stdout } = spawnSync('curl', ['--version'], { encoding: 'utf8' })
        assert.ok(!isOlder(stdout.split(' ')[1]!, version), `${version} is not what is here: ${stdout.split('\n')[0]}`)
      })
    })
  }
})

function isOf({ client, test }: Row): boolean {
  if (!existsSync(join(root, test))) return false
  const source = sourceOf(test)
  if (client === 'curl') return source.includes("run('curl'")
  return (client === null ? sdks : [client]).every((name) => source.includes(`'${name}`))
}

function isOlder(one: string, other: string): boolean {
  return one.localeCompare(other, 'en', { numeric: true }) < 0
}

describe(`the code of ${page}`, () => {
  const withDemo = { plugins: [...providers, 'demo', 'failover'] }
  const programs = blocks('ts')
  const [environment, ...commands] = blocks('sh')

  for (const program of programs.filter(({ text }) => text.includes("'demo'"))) {
    test(`at ${program.place} runs as it stands`, async () => {
      await using gw = await gateway(withDemo)
      assertSaid(await runProgram({ ...program, text: at(gw.url, program) }))
    })

    test(`at ${program.place} runs by the environment alone`, async () => {
      await using gw = await gateway(withDemo)
      const text = program.text.replace(/ ?baseURL: '[^']+',|, httpOptions: \{[^}]+\}/, '')
      assert.doesNotMatch(text, /8787/)
      const lines = at(gw.url, environment!).matchAll(/^export (\w+)=(.+)$/gm)
      const env = Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]))
      assert.equal(Object.keys(env).length, 3)
      assertSaid(await runProgram({ ...program, text }, { env }))
    })
  }

  test('has a session of the Realtime API by TLS, with an issuer that the environment names', async () => {
    const program = programs.find(({ text }) => text.includes('OpenAIRealtimeWS'))!
    await using own = await issuer()
    const { certFile, keyFile } = await own.issue({ names: ['IP:127.0.0.1'] })
    await using upstream = await wsUpstream({ onSocket: (socket) => socket.send('{"type":"session.created"}') })
    await using gw = await gateway({
      tls: { cert: `file:${certFile}`, key: `file:${keyFile}` },
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    const env = { NODE_EXTRA_CA_CERTS: own.caFile }
    const { code, out, err } = await runProgram({ ...program, text: at(gw.url, program) }, { env })
    assert.deepEqual([code, out, err], [0, 'session.created\n', ''])
  })

  test('of a shell runs as it stands', { skip: withoutCurl }, async () => {
    await using upstream = await fakeUpstream(json(200, { id: 'file-1' }))
    const files = [{ name: 'files', provider: 'openai', url: upstream.url, key: 'k' }]
    await using gw = await gateway({ ...withDemo, upstreams: files })
    const folder = await mkdtemp(join(tmpdir(), 'postern-clients-'))
    try {
      await writeFile(join(folder, 'batch.jsonl'), '{"custom_id":"1"}\n')
      const out: string[] = []
      for (const block of commands) {
        const ended = await run('sh', ['-ec', at(gw.url, block)], { cwd: folder })
        assert.equal(ended.code, 0, ended.err)
        out.push(ended.out)
      }
      assert.equal(out.length, 4)
      assert.match(out[0]!, /"object":"chat.completion".*demo upstream/s)
      assert.match(out[1]!, /^event: message_start\n.*event: message_stop\n/s)
      assert.equal(out[2], '{"id":"file-1"}')
      assert.match(String(upstream.asked[0]!.body), /"custom_id":"1"/)
      assert.match(out[3]!, /^HTTP\/1\.1 429 .*"status":\s*"RESOURCE_EXHAUSTED"/s)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

/** The demo's own words, or the tokens it counted. */
function assertSaid({ code, out, err }: { code: number; out: string; err: string }): void {
  assert.equal(code, 0, err)
  assert.match(out, /demo upstream/)
  assert.equal(err, '')
}
