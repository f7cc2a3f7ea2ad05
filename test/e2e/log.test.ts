/** Where the log goes, and how much of it, while a gateway runs. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openLog } from '../../core/observe/log.ts'
import { pluginSource } from '../../core/plugins.ts'
import { startSidecar } from '../../core/sidecar.ts'
import { toYaml } from '../harness.ts'
import { until } from '../redis.ts'

/** A sidecar with a log of its own, as `postern run` has it. */
async function running(log: Record<string, unknown>) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-log-'))
  const file = join(folder, 'gateway.yaml')
  const path = (name: string) => join(folder, name)
  const write = (settings: Record<string, unknown>) =>
    writeFile(file, toYaml({ plugins: ['openai'], log: settings }, new Map()))
  await write({ ...log, file: path('log') })
  const real = openLog({ level: 'info', destination: '/dev/null' })
  const sidecar = await startSidecar({ file, plugins: pluginSource, log: real, env: {}, watch: false })
  const post = (page: string) =>
    fetch(sidecar.adminUrl + page, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  return {
    sidecar,
    path,
    post,
    write,
    /** Sends an exchange that no provider claims; its line is written like every other. */
    ask: async (id: string) => void (await fetch(`${sidecar.url}/nowhere`, { headers: { 'x-request-id': id } })),
    /** The exchanges whose lines are in a file. */
    async ids(name: string) {
      real.flush()
      const text = await readFile(path(name), 'utf8').catch(() => '')
      const records = text.split('\n').slice(0, -1)
      return records.flatMap((line) => (JSON.parse(line) as { exchange?: string }).exchange ?? []) // lines of the log
    },
    async [Symbol.asyncDispose]() {
      await sidecar.stop()
      real.setDestination(1)
      await rm(folder, { recursive: true })
    },
  }
}

describe('the file of the log', () => {
  test('is opened anew when the admin listener is asked, and no line is lost', async () => {
    await using it = await running({})
    await it.ask('before')
    await until(async () => (await it.ids('log')).includes('before'))
    await rename(it.path('log'), it.path('log.1'))
    await it.ask('put-aside')
    await until(async () => (await it.ids('log.1')).includes('put-aside'))
    assert.deepEqual(await (await it.post('/log/reopen')).json(), { file: it.path('log') })
    await it.ask('after')
    await until(async () => (await it.ids('log')).includes('after'))
    assert.deepEqual(await it.ids('log.1'), ['before', 'put-aside'])
  })

  test('is another one after a reload that says so', async () => {
    await using it = await running({})
    await it.write({ file: it.path('other') })
    assert.deepEqual(await it.sidecar.reload(), [])
    await it.ask('moved')
    await until(async () => (await it.ids('other')).includes('moved'))
    assert.deepEqual(await it.ids('log'), [])
  })

  test('that cannot be opened keeps the new configuration from running, and the log where it was', async () => {
    await using it = await running({})
    await it.write({ file: it.path('no/such/folder') })
    const [problem] = await it.sidecar.reload()
    assert.match(problem?.message ?? '', /^log\.file cannot be written: ENOENT/)
    await it.ask('still')
    await until(async () => (await it.ids('log')).includes('still'))
    await rm(it.path('log'))
    await rename(it.path('gateway.yaml'), it.path('aside'))
    assert.equal((await it.post('/log/reopen')).status, 200)
  })
})

describe('the level of the log', () => {
  test('is what the admin listener was told, until the next reload', async () => {
    await using it = await running({})
    assert.deepEqual(await (await it.post('/log/level?level=error')).json(), { level: 'error' })
    await it.ask('unheard')
    await it.sidecar.reload()
    await it.ask('heard')
    await until(async () => (await it.ids('log')).includes('heard'))
    assert.deepEqual(await it.ids('log'), ['heard'])
    const wrong = await it.post('/log/level?level=loud')
    assert.equal(wrong.status, 400)
    assert.match(await wrong.text(), /level is one of fatal, error/)
  })
})

test('SIGUSR2 opens the file of the log anew', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-log-'))
  const log = join(folder, 'log')
  await writeFile(join(folder, 'gateway.yaml'), toYaml({ plugins: ['openai'], log: { file: log } }, new Map()))
  const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))
  const child = spawn(process.execPath, [bin, 'run', '--config', join(folder, 'gateway.yaml')], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  try {
    const text = () => readFile(log, 'utf8').catch(() => '')
    await until(async () => (await text()).includes('listening'))
    await rename(log, `${log}.1`)
    child.kill('SIGUSR2')
    await until(async () => (await text()).includes('the log was opened anew'))
  } finally {
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [0, null])
    await rm(folder, { recursive: true })
  }
})
