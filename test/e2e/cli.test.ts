/** The command line, as a person or a script meets it. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))
const root = fileURLToPath(new URL('../../', import.meta.url))

/** Runs a command to its end. */
async function postern(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [bin, ...words], { cwd: root, env: { PATH: process.env.PATH } })
  const told = { code: null as number | null, out: '', err: '' }
  child.stdout.on('data', (text) => (told.out += String(text)))
  child.stderr.on('data', (text) => (told.err += String(text)))
  const [code] = await once(child, 'close')
  told.code = code as number | null // as 'close' tells it
  return told
}

/** A file with this text, for as long as the callback runs. */
async function withFile<T>(text: string, use: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-cli-'))
  try {
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, text)
    return await use(file)
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('postern', () => {
  test('keeps what it has compiled beside the packages, so that the next start costs half as much', async () => {
    const tell = "process.on('exit', () => console.error(process.getBuiltinModule('module').getCompileCacheDir()))"
    const words = ['--import', `data:text/javascript,${encodeURIComponent(tell)}`, bin, '--version']
    const { stderr } = await promisify(execFile)(process.execPath, words, {
      cwd: root,
      env: { PATH: process.env.PATH },
    })
    assert.ok(stderr.startsWith(join(root, 'node_modules/.cache/postern')), stderr)
  })

  test('says what it can do, and which version it is', async () => {
    const help = await postern('--help')
    assert.equal(help.code, 0)
    for (const command of ['run', 'check', 'explain']) assert.match(help.out, new RegExp(`^  ${command} `, 'm'))
    assert.match((await postern('--version')).out, /^\d+\.\d+\.\d+\n$/)
  })

  test('says what is wrong with a call, and exits with 2', async () => {
    for (const words of [['chekc'], [], ['run', 'now'], ['--konfig', 'x'], ['toString']]) {
      const { code, err } = await postern(...words)
      assert.equal(code, 2, words.join(' '))
      assert.match(err, /Try: postern (run )?--help/)
    }
  })

  test('checks the shipped file', async () => {
    const { code, out } = await postern('check')
    assert.equal(code, 0)
    assert.match(out, /^gateway.yaml is well: 10 plugins, 0 upstreams/)
    assert.match(out, /upstream openai is left out: its key is empty/)
  })

  test('checks a broken file: every problem at once, with its place and cure, and exits with 1', async () => {
    await withFile('limts: {}\nplugins:\n  - ip-rules: { alow: [] }\n  - opnai\n', async (file) => {
      const { code, out } = await postern('check', '--config', file)
      assert.equal(code, 1)
      assert.match(out, /:1:1 .*"limts".*Did you mean "limits"\?/)
      assert.match(out, /:3:17 .*"alow".*Did you mean "allow"\?/)
      assert.match(out, /:4:5 .*"opnai".*Did you mean "openai"\?/)
      assert.match(out, /3 problems/)
      const told = JSON.parse((await postern('check', '--json', '-c', file)).out) as {
        ok: boolean
        problems: { line: number }[]
      } // check.ts
      assert.equal(told.ok, false)
      assert.deepEqual(
        told.problems.map(({ line }) => line),
        [1, 3, 4],
      )
    })
  })

  test('says that a file is not there', async () => {
    for (const command of ['check', 'explain', 'run']) {
      const { code, out, err } = await postern(command, '-c', '/nowhere/gateway.yaml')
      assert.equal(code, 1)
      assert.match(out + err, /gateway\.yaml/)
      assert.doesNotMatch(out + err, /\n {4}at /, 'no stack trace')
    }
  })

  test('explains: who is asked in which phase, and which upstreams', async () => {
    const { code, out } = await postern('explain')
    assert.equal(code, 0)
    assert.match(out, /^openai {2}\/ → https:\/\/api.openai.com\/$/m)
    assert.match(out, /rankUpstreams +console ↓ demo ↓ sticky-session ↓ concurrency ↓ failover/)
    assert.match(
      out,
      /^WebSockets: messages up to 16MiB, not compressed, a ping every 30s \(2s to answer\), 30s to the first/m,
    )
    assert.match(
      out,
      /^WebSockets to an upstream: at most 128, 0 to 12 idle, 1h old, 64 turns may wait, utilization 0.7$/m,
    )
  })

  test('explains what the file says of WebSockets', async () => {
    const text = 'websocket: { message: 1500B, ping: 90s, compress_upstreams: true, pool: { max: 3 } }\n'
    const { out } = await withFile(text, (file) => postern('explain', '-c', file))
    assert.match(out, /messages up to 1500B, compressed for upstreams, a ping every 90s/)
    assert.match(out, /at most 3, 0 to 12 idle/)
  })
})

describe('postern run', () => {
  const config = (listen: string) => `listen: ${listen}\nadmin: false\nlimits: { drain: 5s }\nplugins: [openai, demo]\n`

  /** Starts it and resolves with its address once it listens. */
  async function running(file: string) {
    const child = spawn(process.execPath, [bin, 'run', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    let log = ''
    let err = ''
    child.stderr.on('data', (text) => (err += String(text)))
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (text) => {
        log += String(text)
        const line = log.split('\n').find((text) => text.includes('"listening"'))
        if (line) resolve((JSON.parse(line) as { url: string }).url) // run.ts
      })
      child.on('exit', () => reject(new Error(err)))
    })
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]> // as the event tells it
    return { child, url, exit, log: () => log }
  }

  test('serves, reloads on SIGHUP, drains on SIGTERM and exits with 0', async () => {
    await withFile(config('127.0.0.1:0'), async (file) => {
      const { child, url, exit, log } = await running(file)
      const ask = (model: string) =>
        fetch(`${url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-demo-chunks': '20', 'x-demo-interval': '30' },
          body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
        })
      const stream = await ask('demo')
      assert.equal(stream.status, 200)
      await writeFile(file, config('127.0.0.1:0').replace('5s', '6s'))
      child.kill('SIGHUP')
      while (!log().includes('the new configuration is running')) await once(child.stdout, 'data')
      child.kill('SIGTERM')
      assert.match(await stream.text(), /data: \[DONE\]\n\n$/, 'the stream that was under way ended as it should')
      assert.deepEqual(await exit, [0, null])
      assert.match(log(), /"stopped"/)
    })
  })

  test('takes a plugin from a folder beside the file, and lives on when that leaves a promise to fail', async () => {
    await withFile(config('127.0.0.1:0').replace('[', '[./own, '), async (file) => {
      const contract = new URL('../../core/plugin.ts', import.meta.url).href
      await mkdir(join(dirname(file), 'own'))
      await writeFile(
        join(dirname(file), 'own', 'index.js'),
        `import { definePlugin } from '${contract}'
         export default definePlugin({
           name: 'own',
           config: { type: 'object', properties: {} },
           setup: () => ({ onRequest: () => void Promise.reject(new Error('floating')) }),
         })`,
      )
      const { child, url, exit, log } = await running(file)
      for (let times = 0; times < 2; times++) assert.equal((await fetch(`${url}/v1/models`)).status, 200)
      child.kill('SIGTERM')
      assert.deepEqual(await exit, [0, null])
      assert.match(log(), /a promise failed that nobody waited for/)
    })
  })

  test('exits at once on a second signal', async () => {
    await withFile(config('127.0.0.1:0'), async (file) => {
      const { child, url, exit, log } = await running(file)
      const held = fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"model":"demo-stall","messages":[]}',
      }).catch(() => null)
      await new Promise((resolve) => setTimeout(resolve, 100)) // for the request to be under way
      child.kill('SIGINT')
      while (!log().includes('stopping')) await once(child.stdout, 'data')
      child.kill('SIGINT')
      assert.deepEqual(await exit, [130, null])
      await held
    })
  })

  test('says that its port is taken, and exits with 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number } // TCP
    await withFile(config(`127.0.0.1:${port}`), async (file) => {
      const { code, err } = await postern('run', '-c', file)
      assert.equal(code, 1)
      assert.match(err, new RegExp(`cannot listen on 127.0.0.1:${port}: another process listens there already`))
    })
    taken.close()
  })
})
