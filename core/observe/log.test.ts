import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Secret } from '../plugin.ts'
import { openLog, type LogOptions, type RootLog } from './log.ts'

/** The records that a log writes while the callback speaks to it. */
async function written(level: LogOptions['level'], speak: (log: RootLog) => void): Promise<Record<string, unknown>[]> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-log-'))
  try {
    const destination = join(folder, 'log.jsonl')
    const log = openLog({ level, destination })
    speak(log)
    // The file is opened, and perhaps written, asynchronously: asks again until something stands in it.
    let text = ''
    for (let tries = 0; tries < 2000 && text === ''; tries++) {
      try {
        log.flush()
      } catch {
        // not open yet
      }
      await new Promise((resolve) => setImmediate(resolve))
      text = await readFile(destination, 'utf8').catch(() => '')
    }
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>) // pino writes objects
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('the log', () => {
  test('writes JSON lines with level, time and instance, and nothing below its level', async () => {
    const [record, ...others] = await written('info', (log) => {
      log.debug({}, 'unheard')
      log.info({ a: 1 }, 'heard')
    })
    assert.deepEqual(others, [])
    assert.equal(record?.level, 'info')
    assert.equal(record?.msg, 'heard')
    assert.equal(record?.a, 1)
    assert.match(String(record?.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.match(String(record?.instance), /^[0-9a-f]{8}$/)
  })

  test('changes its level for loggers that are in use', async () => {
    const records = await written('warn', (log) => {
      const child = log.child({ plugin: 'p' })
      child.info({}, 'before')
      log.setLevel('debug')
      child.debug({}, 'after')
      log.debug({}, 'after too')
    })
    assert.deepEqual(
      records.map(({ msg, plugin }) => [msg, plugin]),
      [
        ['after', 'p'],
        ['after too', undefined],
      ],
    )
  })

  test('never writes what a secret hides', async () => {
    const records = await written('info', (log) =>
      log.info({ key: new Secret('hunter2'), inner: { key: new Secret('hunter2') } }, 'x'),
    )
    assert.doesNotMatch(JSON.stringify(records), /hunter2/)
    assert.equal(records[0]?.key, '***')
  })
})
