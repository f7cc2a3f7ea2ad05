import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdtemp, readdir, readFile, readlink, rename, rm } from 'node:fs/promises'
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

const full = existsSync('/dev/full') ? {} : { skip: 'this system has no /dev/full' }

test('the log writes no credential, whoever puts it into a record', async () => {
  const records = await written('info', (log) => {
    const err = Object.assign(new Error('401 from https://u:canary1@h/?key=canary2'), {
      headers: { 'x-api-key': 'canary3' },
    })
    log.child({ authorization: 'Bearer canary4' }).error({ err, path: '/v1/sk-canary56789' }, 'said: password=canary7')
  })
  assert.equal(records.length, 1)
  assert.doesNotMatch(JSON.stringify(records), /canary/)
  assert.equal(records[0]?.msg, 'said: password=***')
})

describe('another destination', () => {
  test('is where loggers in use write from then on, and nothing that was written before is lost', async () => {
    await using it = await places()
    const log = openLog({ level: 'info', destination: it.path('first') })
    const child = log.child({ plugin: 'p' })
    for (let at = 0; at < 1000; at++) child.info({ at }, 'before')
    log.setDestination(it.path('second'))
    for (let at = 0; at < 1000; at++) child.info({ at }, 'after')
    log.info({}, 'the root too')
    log.flush()
    // What the system was writing when the destination changed is written a moment later.
    const deadline = Date.now() + 5000
    while ((await it.numbers('first')).length < 1000 && Date.now() < deadline) await new Promise(setImmediate)
    assert.deepEqual(
      await it.numbers('first'),
      Array.from({ length: 1000 }, (_, at) => at),
    )
    while ((await it.numbers('second')).length < 1001 && Date.now() < deadline) await new Promise(setImmediate)
    // A flush does not wait for what the system is writing at that moment: that may come to stand behind it.
    assert.deepEqual(
      (await it.numbers('second')).toSorted((one, other) => Number(one) - Number(other)),
      [...Array.from({ length: 1000 }, (_, at) => at), undefined],
    )
    await it.ended(log)
  })

  test('may be the same path, opened anew after a rotation', async () => {
    await using it = await places()
    const log = openLog({ level: 'info', destination: it.path('log') })
    log.info({ at: 1 }, 'x')
    log.flush()
    await rename(it.path('log'), it.path('log.1'))
    log.info({ at: 2 }, 'x')
    log.setDestination(it.path('log'))
    log.info({ at: 3 }, 'x')
    log.flush()
    assert.deepEqual(await it.numbers('log.1'), [1, 2])
    assert.deepEqual(await it.numbers('log'), [3])
    await it.ended(log)
  })

  test('that cannot be opened is an error that changes nothing', async () => {
    await using it = await places()
    const log = openLog({ level: 'info', destination: it.path('log') })
    assert.throws(() => log.setDestination(it.path('no/such/folder')), { code: 'ENOENT' })
    log.info({ at: 1 }, 'x')
    log.flush()
    assert.deepEqual(await it.numbers('log'), [1])
    await it.ended(log)
  })

  test('that is full throws at nobody, and can be left', full, async () => {
    await using it = await places()
    const log = openLog({ level: 'info', destination: '/dev/full' })
    for (let at = 0; at < 100; at++) log.info({ at }, 'x'.repeat(100))
    log.flush()
    log.setDestination(it.path('log'))
    log.info({ at: 1 }, 'x')
    log.flush()
    assert.deepEqual(await it.numbers('log'), [1])
    await it.ended(log)
  })

  const pipes = process.platform === 'win32' ? { skip: 'this system has no named pipes' } : {}
  test('that takes nothing holds so much and no more, and says what was lost when it goes on', pipes, async () => {
    await using it = await places()
    execFileSync('mkfifo', [it.path('pipe')])
    const holder = openSync(it.path('pipe'), 'r+')
    const log = openLog({ level: 'info', destination: it.path('pipe') })
    const written = 200
    for (let at = 0; at < written; at++) log.info({ at }, 'x'.repeat(100_000))
    const reader = spawn('sh', ['-c', 'exec cat "$0" > "$1"', it.path('pipe'), it.path('log')])
    let lost = 0
    await until(async () => {
      const records = await it.records('log')
      lost = Number(records.find((record) => 'lost' in record)?.lost ?? 0)
      return lost > 0
    })
    const kept = (await it.numbers('log')).filter((at) => at !== undefined)
    assert.equal(kept.length + lost, written)
    assert.ok(kept.length > 50)
    await it.ended(log)
    closeSync(holder)
    await once(reader, 'close')
  })
})

describe('a process that ends without a word', () => {
  const ending = (file: string) =>
    spawnSync(process.execPath, [
      '--input-type=module',
      '-e',
      `import { openLog } from ${JSON.stringify(new URL('log.ts', import.meta.url).href)}
       const log = openLog({ level: 'info', destination: ${JSON.stringify(file)} })
       for (let at = 0; at < 300; at++) log.info({ at }, 'x')
       process.exit(7)`,
    ])

  test('has written its log', async () => {
    await using it = await places()
    assert.equal(ending(it.path('log')).status, 7)
    assert.deepEqual(new Set(await it.numbers('log')), new Set(Array.from({ length: 300 }, (_, at) => at)))
  })

  test('does end, where its log cannot be written', full, () => {
    const { status, stderr } = ending('/dev/full')
    assert.equal(status, 7)
    assert.match(stderr.toString(), /the log cannot be written: Error: ENOSPC/)
  })
})

/** A folder for files of the log. */
async function places() {
  const folder = await mkdtemp(join(tmpdir(), 'postern-log-'))
  const path = (name: string) => join(folder, name)
  const records = async (name: string) =>
    (await readFile(path(name), 'utf8').catch(() => ''))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>) // pino writes objects
  return {
    path,
    records,
    numbers: async (name: string) => (await records(name)).map(({ at }) => at),
    /** Leaves every file, so that the folder can go. */
    async ended(log: RootLog) {
      log.setDestination(1)
      const fds = `/proc/${process.pid}/fd`
      if (!existsSync(fds)) return
      await until(async () => {
        const open = await Promise.all((await readdir(fds)).map(async (fd) => readlink(join(fds, fd)).catch(() => '')))
        return !open.some((file) => file.startsWith(folder) && !file.endsWith('/pipe'))
      })
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true })
    },
  }
}

/** Waits for a condition, ten seconds at most. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, 'it never came to be')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
