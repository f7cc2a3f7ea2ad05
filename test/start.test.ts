/** What a process that runs has loaded, and what it has not: each package costs milliseconds and MiB of every start. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { fakeUpstream, json } from './fake-upstream.ts'

const program = fileURLToPath(new URL('../bin/postern.js', import.meta.url))

/** Notes what is resolved, by whoever asks for it, and which of Node's own modules there are at the end. */
const witness = `
import { registerHooks } from 'node:module'
import { writeFileSync } from 'node:fs'
const urls = new Set()
registerHooks({ resolve: (name, context, next) => { const found = next(name, context); urls.add(found.url); return found } })
process.on('exit', () => writeFileSync(process.env.WITNESS, JSON.stringify({ urls: [...urls], own: process.moduleLoadList })))
`

interface Loaded {
  /** Names of packages. */
  readonly packages: readonly string[]
  /** Files of the house, from its root. */
  readonly files: readonly string[]
  /** Node's own modules, internal ones too. */
  readonly own: readonly string[]
}

/** Runs a gateway of its own process until it was used; what it had loaded by then. */
async function loadedBy(plugins: string, use: (url: string) => Promise<void>, more = ''): Promise<Loaded> {
  await using upstream = await fakeUpstream(json(200, { ok: true }))
  const folder = mkdtempSync(join(tmpdir(), 'postern-start-'))
  try {
    const file = join(folder, 'gateway.yaml')
    const path = join(folder, 'loaded.json')
    writeFileSync(
      file,
      `listen: 127.0.0.1:0\nadmin: false\nupstreams:\n  - { name: o, provider: openai, url: '${upstream.url}', key: sk-x }\nplugins: ${plugins}\n${more}`,
    )
    const words = ['--import', `data:text/javascript,${encodeURIComponent(witness)}`, program, 'run', '--config', file]
    const env = { ...process.env, WITNESS: path, NODE_DISABLE_COMPILE_CACHE: '1' }
    const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await use(await addressOf(child.stdout))
    } finally {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    const { urls, own } = JSON.parse(readFileSync(path, 'utf8')) as { urls: string[]; own: string[] } // written above
    const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? [])
    const root = new URL('../', import.meta.url).href
    const files = urls.filter((url) => url.startsWith(root) && !url.includes('/node_modules/'))
    return {
      packages: [...new Set(packages)].toSorted(),
      files: files.map((url) => url.slice(root.length)),
      own: own.map((line) => line.replace(/^\S+ /, '')),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** From the line of the log that says so. */
async function addressOf(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(output)) {
    const { msg, url } = JSON.parse(line) as { msg?: string; url?: string } // a line of the log
    if (msg === 'listening' && url !== undefined) return url
  }
  throw new Error('it has not begun to listen')
}

const nothing = async () => {}
const post = async (url: string) => {
  const body = JSON.stringify({ model: 'm', messages: [] })
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body })
  assert.equal(answer.status, 200)
  await answer.arrayBuffer()
}

/** What http-proxy-3, pino and chokidar bring with them is theirs to say. */
const brought = new Set(['debug', 'ms', 'follow-redirects', 'readdirp', 'atomic-sleep', 'on-exit-leak-free'])
const ofOurs = (packages: readonly string[]) =>
  packages.filter((name) => !brought.has(name) && !/^(@pinojs\/|pino-|quick-|safe-stable|sonic|thread-)/.test(name))

describe('a gateway with one provider', () => {
  test('has loaded four packages when it has answered', async () => {
    const { packages } = await loadedBy('[openai]', post)
    assert.deepEqual(ofOurs(packages), ['chokidar', 'http-proxy-3', 'pino', 'yaml'])
  })

  test("has loaded its own plugin, and nobody else's", async () => {
    const { files } = await loadedBy('[openai]', nothing)
    const plugins = files.filter((file) => file.startsWith('plugins/'))
    assert.ok(plugins.includes('plugins/openai/index.ts'))
    assert.deepEqual(
      plugins.filter((file) => !file.startsWith('plugins/openai/')),
      [],
    )
  })

  test('has loaded nothing for WebSockets, keys, databases or operators, nor what says what is wrong with a file', async () => {
    const { files } = await loadedBy('[openai]', post)
    assert.ok(files.includes('core/server.ts'))
    const spare =
      /^core\/(websocket\.ts|websocket-upgrade|turn-(?!conversation|memory)|session|upstream\/ws-|upstream\/undici|access\/|database\/(?!janitor)|store\/redis|admin|config\/ajv|testing)/
    const known = ['core/upstream/undici-client.ts'] // its shell; undici itself is a package
    assert.deepEqual(
      files.filter((file) => spare.test(file) && !known.includes(file)),
      [],
    )
  })

  test("has not loaded Node's fetch: 10 MiB", async () => {
    const { own } = await loadedBy('[openai]', post)
    assert.ok(own.includes('internal/modules/esm/loader'), 'the list is one of modules')
    assert.ok(!own.some((name) => name.includes('undici')))
  })
})

describe('what is not loaded at first is loaded', () => {
  test('for the first WebSocket', async () => {
    const { packages, files } = await loadedBy('[openai]', async (url) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/responses`)
      await once(socket, 'open')
      socket.close()
      await once(socket, 'close')
    })
    assert.ok(packages.includes('ws'))
    assert.ok(files.includes('core/websocket.ts'))
  })

  test('for a plugin that asks who may call', async () => {
    const { files } = await loadedBy(
      '[openai, api-key-auth]',
      nothing,
      "keys: [{ name: a, key: '0123456789abcdef' }]\n",
    )
    assert.ok(files.includes('core/access/directory.ts'))
  })

  test('for the second client, which is asked for', async () => {
    const { packages } = await loadedBy('[openai]', nothing, 'transport: undici\n')
    assert.ok(packages.includes('undici'))
  })
})
