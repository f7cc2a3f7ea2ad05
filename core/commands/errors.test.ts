/** `postern errors`, as child processes on a real database and real files. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { databaseSink } from '../../plugins/ops-capture/database-sink.ts'
import { record, table, until } from '../../plugins/ops-capture/database.fixture.ts'
import { silentLog } from '../observe/log.ts'
import { postern } from './admin.fixture.ts'

type Fields = Parameters<typeof record>[0]
const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
const lineFor = (more: Fields) => `${JSON.stringify(record(more))}\n`

/** A folder with a gateway.yaml that captures into a file in it, and into the database where there is one. */
async function place({ database = 'none', plugins = '' }: { database?: string; plugins?: string } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-errors-'))
  const file = join(folder, 'errors.jsonl')
  const config = join(folder, 'gateway.yaml')
  const list = plugins || `[openai, { ops-capture: { file: ${JSON.stringify(file)} } }]`
  await writeFile(config, `database: ${JSON.stringify(database)}\nplugins: ${list}\n`)
  const run = (...words: string[]) => postern(['errors', ...words, '--config', config])
  return {
    file,
    config,
    run,
    async json(...words: string[]) {
      const { code, out, err } = await run(...words, '--json')
      assert.equal(code, 0, out + err)
      return JSON.parse(out) as { errors: { exchange: string }[]; count: number; codes: unknown } // as it was asked
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

const some: readonly Fields[] = [
  { exchange: 'a', at: ago(3 * 24 * 60), code: 'old' },
  { exchange: 'b', at: ago(90), upstream: 'x', status: 429, type: 'rate_limit_error' },
  { exchange: 'c', at: ago(30), phase: 'routing', owner: 'gateway', upstream: null, code: 'no_upstream', status: 503 },
  { exchange: 'd', at: ago(20), upstream: 'x', message: 'with \u001b[31mcolours' },
  { exchange: 'e', at: ago(10), recovered: true, status: 200 },
]
const questions: readonly (readonly [words: readonly string[], exchanges: string])[] = [
  [[], 'edcb'],
  [['--since', ago(25)], 'ed'],
  [['--since', '1h', '--upstream', 'x', '--status', '500', '--phase', 'upstream', '--owner', 'upstream'], 'd'],
  [['--code', 'rate_limit_error', '--limit', '1'], 'b'],
  [['--exchange', 'a'], 'a'],
]

describe('postern errors', () => {
  test('lists and counts what stands in the database and in the file, each once', async () => {
    await using db = await table()
    await using it = await place({ database: db.url })
    const all = some.map((fields) => record(fields))
    const rows = databaseSink(db.db, { write: () => Promise.reject(new Error('no')) }, silentLog)
    await rows.write(all.slice(0, 3))
    // One of them stands in both.
    const lines = all.slice(2).map((one) => `${JSON.stringify(one)}\n`)
    await writeFile(it.file, lines.join(''))
    for (const [words, expected] of questions) {
      const { errors } = await it.json('list', ...words)
      assert.equal(errors.map(({ exchange }) => exchange).join(''), expected, words.join(' '))
    }
    const { count, codes } = await it.json('summary', '--since', '7d')
    assert.equal(count, 5)
    assert.ok(JSON.stringify(codes).startsWith('[{"name":"server_error","count":2}'), JSON.stringify(codes))
  })

  test('shows one with all that is known of it, and steers no terminal', async () => {
    await using it = await place()
    const attempts = [
      {
        attempt: 1,
        at_unix_ms: 1,
        upstream: 'x',
        kind: 'http_error' as const,
        status: 500,
        error: null,
        request_id: 'r-1',
        ms: 7,
        message: 'bad\u0007',
      },
    ]
    const one = record({
      exchange: 'mine',
      attempts,
      message: '\u001b]0;title',
      error_body: '{"error":1}',
      key: 'laptop',
    })
    await writeFile(
      it.file,
      `${lineFor({ exchange: 'other' })}${JSON.stringify({ ...one, request_body: { model: 'm' } })}\n`,
    )
    for (const name of [one.id, 'mine']) {
      const { code, out } = await it.run('show', name)
      assert.equal(code, 0)
      assert.match(out, /exchange +mine/)
      assert.match(out, /key +laptop/)
      assert.match(out, /attempt 1 {2}x: 500 after 7 ms, its request r-1: bad/)
      assert.match(out, /what was asked:\n\{\n {2}"model": "m"\n\}/)
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(out, /\u001b|\u0007/)
    }
    const { code, err } = await it.run('show', 'nobody')
    assert.equal(code, 1)
    assert.match(err, /there is no captured error nobody/)
  })

  test('says in words how many there are', async () => {
    await using it = await place()
    await writeFile(it.file, some.map(lineFor).join(''))
    const { out, code } = await it.run('summary', '--since', '7d')
    assert.equal(code, 0)
    assert.match(out, /^5 in all\n\ncode\n {2}server_error +2 +#{20}\n/)
    assert.match(out, /\nhour\n/)
    const { out: none } = await it.run('summary', '--upstream', 'nobody')
    assert.equal(none, 'None.\n')
  })

  test('follows what comes, from the file and from the database', async () => {
    await using db = await table()
    await using it = await place({ database: db.url })
    await writeFile(it.file, lineFor({ exchange: 'before' }))
    const entry = fileURLToPath(new URL('../main.ts', import.meta.url))
    const child = spawn(process.execPath, [entry, 'errors', 'list', '--follow', '--json', '--config', it.config])
    let out = ''
    child.stdout.on('data', (text) => (out += String(text)))
    try {
      await until('the one before', () => out.includes('"before"'))
      await appendFile(it.file, lineFor({ exchange: 'in-file' }))
      await databaseSink(db.db, { write: async () => {} }, silentLog).write([record({ exchange: 'in-database' })])
      await until('those after', () => out.includes('"in-file"') && out.includes('"in-database"'))
    } finally {
      child.kill()
      await once(child, 'close')
    }
    const seen = out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { exchange: string }).exchange) // as it was asked
    assert.deepEqual(seen.toSorted(), ['before', 'in-database', 'in-file'], 'each of them once')
  })

  test('reads a file that is larger than its memory from the end', async () => {
    await using it = await place()
    const file = await open(`${it.file}.1`, 'w')
    const line = lineFor({ at: ago(60), request_body: 'x'.repeat(60_000) })
    for (let at = 0; at < 1000; at++) await file.write(line.repeat(1))
    await file.close()
    await writeFile(it.file, lineFor({ exchange: 'newest' }))
    const run = await postern(['errors', 'list', '--limit', '3', '--json', '--config', it.config], {
      env: { NODE_OPTIONS: '--max-old-space-size=64' },
    })
    assert.equal(run.code, 0, run.err)
    const { errors } = JSON.parse(run.out) as { errors: { exchange: string }[] } // as it was asked
    assert.deepEqual(
      errors.map(({ exchange }) => exchange),
      ['newest', 'x-1', 'x-1'],
    )
  })
})

describe('postern errors says what is wrong, and what to do', () => {
  const wrong: readonly (readonly [words: readonly string[], code: number, says: RegExp])[] = [
    [[], 2, /Say what to do with errors: list, show, summary\. Try: postern errors --help/],
    [['lst'], 2, /errors has no command "lst"/],
    [['list', '--since', 'yesterday'], 2, /--since must be a duration such as 30s/],
    [['list', '--phase', 'up'], 2, /--phase must be one of request, auth/],
    [['list', '--owner', 'me'], 2, /--owner must be one of client/],
    [['list', '--limit', '0'], 2, /--limit must be 1 at least/],
    [['list', '--status', 'x'], 2, /--status must be a whole number/],
    [['list', '--nonsense'], 2, /Unknown option '--nonsense'/],
    [['show'], 2, /ID is missing/],
  ]
  test('where it is called wrongly', async () => {
    await using it = await place()
    for (const [words, code, says] of wrong) {
      const told = words.length === 0 ? await postern(['errors']) : await it.run(...words)
      assert.equal(told.code, code, words.join(' '))
      assert.match(told.err, says)
      assert.equal(told.out, '')
    }
  })

  test('where nothing is captured, or nothing was yet', async () => {
    await using without = await place({ plugins: '[openai]' })
    const told = await without.run('list')
    assert.equal(told.code, 1)
    assert.match(told.err, /the plugins of .* lack ops-capture\. Add "- ops-capture"/)
    await using early = await place()
    const { code, err } = await early.run('list')
    assert.equal(code, 1)
    assert.match(err, /errors\.jsonl is not there \(yet\)/)
  })

  test('where the database is down: what the file has, and that it may not be all', async () => {
    await using it = await place({ database: 'postgres://nobody@127.0.0.1:9/none' })
    await writeFile(it.file, lineFor({ exchange: 'outage' }))
    const { code, out, err } = await it.run('list')
    assert.equal(code, 1)
    assert.match(out, /it broke/)
    assert.match(err, /the database is not available: .*This is what stands in .*errors\.jsonl alone/)
    await rm(it.file)
    const none = await it.run('list')
    assert.deepEqual([none.code, none.out], [1, ''])
    assert.match(none.err, /the database is not available/)
  })

  test('with --help, and examples that can be run', async () => {
    await using it = await place()
    await writeFile(it.file, lineFor({}))
    for (const words of [['--help'], ['list', '--help']]) {
      const { code, out } = await postern(['errors', ...words])
      assert.equal(code, 0)
      assert.match(out, /Examples\n/)
      assert.ok(
        out.split('\n').every((line) => line.length <= 100),
        'it fits a terminal',
      )
      if (words.length > 1) continue
      const examples = [...out.matchAll(/^ {2}postern errors ((?:list|summary) .*)$/gm)]
      assert.equal(examples.length, 3)
      for (const [, example = ''] of examples) {
        const given = example.split(' ').filter((word) => word !== '--follow')
        assert.equal((await it.run(...given)).code, 0, example)
      }
    }
  })
})
