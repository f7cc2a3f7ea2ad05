/** What a start loads, and what it keeps for the next one. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))

describe('what was compiled', () => {
  const check = (env: Record<string, string>) =>
    spawnSync(process.execPath, [bin, '--help'], { encoding: 'utf8', env: { ...process.env, ...env } })

  test('is kept for the next start, which says the same', () => {
    using folder = temporary()
    const first = check({ NODE_COMPILE_CACHE: folder.path })
    assert.equal(first.status, 0)
    assert.ok(files(folder.path) > 5, 'something was kept')
    assert.equal(check({ NODE_COMPILE_CACHE: folder.path }).stdout, first.stdout)
  })

  test('is kept by nobody where that is not wanted', () => {
    using folder = temporary()
    assert.equal(check({ NODE_COMPILE_CACHE: folder.path, NODE_DISABLE_COMPILE_CACHE: '1' }).status, 0)
    assert.equal(files(folder.path), 0)
  })

  test('is not needed: where nothing can be written, it starts all the same', () => {
    using folder = temporary()
    const taken = join(folder.path, 'a-file')
    writeFileSync(taken, '')
    const { status, stderr } = check({ NODE_COMPILE_CACHE: taken })
    assert.equal(status, 0)
    assert.equal(stderr, '')
  })
})

describe('a start', () => {
  for (const [transport, isLoaded] of [
    ['lean', false],
    ['undici', true],
  ] as const) {
    test(`with the transport ${transport} ${isLoaded ? 'loads undici' : 'leaves undici alone'}`, async () => {
      assert.equal(/node_modules\/undici\//.test(await loadedBy(`transport: ${transport}\n`)), isLoaded)
    })
  }

  test('loads no client of stores and databases that nobody has named', async () => {
    const loaded = await loadedBy('')
    assert.match(loaded, /core\/sidecar\.ts/)
    assert.doesNotMatch(loaded, /node_modules\/(?:ioredis|pg|node-pg-migrate)\//)
  })
})

/** The modules that `postern run` asks for until it listens. */
async function loadedBy(settings: string): Promise<string> {
  using folder = temporary()
  const hook = join(folder.path, 'hook.mjs')
  writeFileSync(
    hook,
    `import { registerHooks } from 'node:module'
import { writeSync } from 'node:fs'
// A pipe that is full takes nothing until it is read.
function say(text) { for (;;) try { return writeSync(2, text) } catch (error) { if (error.code !== 'EAGAIN') throw error } }
registerHooks({ resolve(name, context, next) { const found = next(name, context); say(found.url + '\\n'); return found } })
`,
  )
  const file = join(folder.path, 'gateway.yaml')
  writeFileSync(file, `listen: 127.0.0.1:0\nadmin: false\n${settings}plugins: [openai, demo]\n`)
  const child = spawn(process.execPath, ['--import', hook, bin, 'run', '--config', file])
  const ended = once(child, 'exit')
  let loaded = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (loaded += text))
  let said = ''
  const listening = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('"listening"')) resolve()
    })
  })
  await Promise.race([listening, ended])
  child.kill('SIGTERM')
  const [code] = (await ended) as [number | null] // as `exit` tells it
  assert.equal(code, 0, `${said}${loaded.slice(-500)}`)
  return loaded
}

function temporary() {
  const path = mkdtempSync(join(tmpdir(), 'postern-compiled-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) }
}

function files(folder: string): number {
  return readdirSync(folder, { recursive: true }).length
}
