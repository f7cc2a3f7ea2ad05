/** The line of an exchange, as it stands in the file of a running sidecar. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { toYaml } from '../../test/harness.ts'
import { until } from '../../test/redis.ts'
import { pluginSource } from '../plugins.ts'
import { startSidecar } from '../sidecar.ts'
import { openLog, type Level } from './log.ts'

/** A sidecar with a log of its own before an upstream that answers, as `postern run` has it. */
async function running(level: Level = 'info') {
  const upstream = await fakeUpstream(json(200, { object: 'chat.completion' }))
  const folder = await mkdtemp(join(tmpdir(), 'postern-line-'))
  const [file, logFile] = [join(folder, 'gateway.yaml'), join(folder, 'log')]
  const upstreams = [{ name: 'first', provider: 'openai', url: upstream.url, key: 'k-12345678' }]
  await writeFile(
    file,
    toYaml({ plugins: ['openai', 'sticky-session'], upstreams, log: { file: logFile, level } }, new Map()),
  )
  const log = openLog({ level, destination: '/dev/null' })
  const sidecar = await startSidecar({ file, plugins: pluginSource, log, env: {}, watch: false })
  const text = async () => {
    log.flush()
    return readFile(logFile, 'utf8').catch(() => '')
  }
  return {
    text,
    /** Asks, and waits for the line. */
    async line(path: string, model: string, id = 'one') {
      const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi' }] })
      const headers = { 'content-type': 'application/json', 'x-request-id': id }
      await (await fetch(sidecar.url + path, { method: 'POST', headers, body })).text()
      const lines = async () => (await text()).split('\n').filter((line) => line.includes('"msg":"exchange"'))
      const before = this.lines
      await until(async () => (await lines()).length > before)
      this.lines = before + 1
      const latest = (await lines()).at(-1)!
      return { latest, record: JSON.parse(latest) as Record<string, unknown> } // a line of the log is a map
    },
    lines: 0,
    async [Symbol.asyncDispose]() {
      await sidecar.stop()
      log.setDestination(1)
      await upstream[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

describe('the line of an exchange', () => {
  test('says what it was, in this order, with the head that every record has', async () => {
    await using it = await running()
    const { record } = await it.line('/v1/chat/completions', 'gpt-5')
    const { time, instance, ms, ...told } = record
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.match(String(instance), /^[0-9a-f]{8}$/)
    assert.ok(typeof ms === 'number' && ms >= 0)
    assert.deepEqual(told, {
      level: 'info',
      exchange: 'one',
      method: 'POST',
      path: '/v1/chat/completions',
      status: 200,
      client: '127.0.0.1',
      provider: 'openai',
      operation: 'chat.completions',
      model: 'gpt-5',
      stream: false,
      upstream: 'first',
      attempts: 1,
      bytes_out: 28,
      msg: 'exchange',
    })
    assert.deepEqual(Object.keys(record).slice(0, 5), ['level', 'time', 'instance', 'exchange', 'method'])
  })

  test('is JSON whatever a client writes into a name, the second time as the first', async () => {
    await using it = await running()
    for (const model of ['a "quoted" \\ one', 'two\nlines', '\u2028 and \ud800', 'x'.repeat(300), '{"a":1}'])
      for (const _ of [1, 2]) assert.equal((await it.line('/v1/chat/completions', model)).record.model, model)
  })

  test('has no credential in it, wherever a client puts one, the second time as the first', async () => {
    await using it = await running()
    const key = 'sk-canary0123456789abcdef'
    for (const _ of [1, 2]) {
      for (const [path, model, id] of [
        [`/v1/${key}`, 'gpt-5', 'one'],
        ['/v1/chat/completions', `as ${key}`, 'one'],
        ['/v1/chat/completions', 'password=canary', 'one'],
        ['/v1/chat/completions', 'gpt-5', key],
      ] as const) {
        const { latest, record } = await it.line(path, model, id)
        assert.doesNotMatch(latest, /canary/)
        assert.equal(record.msg, 'exchange')
      }
    }
  })

  test('is not written where the level is above it', async () => {
    await using quiet = await running('error')
    await using loud = await running()
    await loud.line('/v1/chat/completions', 'gpt-5')
    assert.equal(await quiet.text(), '')
  })
})
