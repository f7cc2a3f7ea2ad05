/** What `npm run bench:e2e` says of what it has measured; the measuring itself is no test. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { bareWithModules } from './bench/e2e/begin.ts'
import { cpuOf, described, otherLoad, residentOf } from './bench/e2e/machine.ts'
import type { Figures, Told } from './bench/e2e/measure.ts'
import { start } from './bench/e2e/processes.ts'
import { rivals } from './bench/e2e/rivals.ts'
import { chart, tables, type Report } from './bench/e2e/report.ts'
import { scenarios } from './bench/e2e/scenarios.ts'
import { until } from './redis-server.ts'

const figures = (rival: string, more: Partial<Figures> = {}): Figures => ({
  rival,
  cpu: 100,
  perSecond: 1000,
  p50: 1,
  p99: 2,
  firstP50: 1,
  resident: 60,
  errors: 0,
  ...more,
})
const told = (list: readonly Figures[], more: Partial<Told> = {}): Told => ({
  scenario: 'json',
  title: 'JSON',
  figures: list,
  absent: {},
  otherLoad: 0,
  ...more,
})
const report = (...list: readonly Told[]): Report => ({
  day: '2026-01-31',
  machine: 'a machine',
  rounds: 7,
  seconds: 2,
  told: list,
  sheets: [],
  begun: [],
})
const rowOf = (text: string, rival: string) =>
  text.split('\n').find((line) => line.startsWith(`| ${rivals[rival]?.title ?? rival} |`)) ?? ''

describe('a table', () => {
  test('tells CPU time as a multiple of bare http-proxy-3', () => {
    const text = tables(report(told([figures('http-proxy-3', { cpu: 200 }), figures('postern', { cpu: 90 })])))
    assert.match(rowOf(text, 'postern'), /\| 90 \| 0\.45 \|/)
    assert.match(rowOf(text, 'http-proxy-3'), /\| 200 \| 1\.00 \|/)
  })

  test('tells no multiple where http-proxy-3 was not measured', () => {
    assert.match(rowOf(tables(report(told([figures('postern')]))), 'postern'), /\| 100 \|  \| 1000 \|/)
  })

  test('tells times as what the gateway adds to the way without it', () => {
    const { cpu: _, resident: __, ...direct } = figures('direct', { p50: 0.4, p99: 1.5, firstP50: 0.3 })
    const text = tables(report(told([direct, figures('postern')])))
    assert.match(rowOf(text, 'postern'), /\| 0\.60 \| 0\.50 \| 0\.70 \|/)
    assert.match(rowOf(text, 'Nobody between'), /\(0\.40\) \| \(1\.50\) \| \(0\.30\)/)
  })

  test('has no figure of a rival that had errors', () => {
    const row = rowOf(tables(report(told([figures('portkey', { errors: 3, cpu: 4321 })]))), 'portkey')
    assert.match(row, /3 errors: nothing was measured/)
    assert.doesNotMatch(row, /4321/)
  })

  test('says what was measured under load, and nothing of the kind on a quiet machine', () => {
    assert.match(tables(report(told([figures('postern')], { otherLoad: 1.24 }))), /under load: others used 1\.2 cores/)
    assert.doesNotMatch(tables(report(told([figures('postern')], { otherLoad: 0.1 }))), /under load/)
  })

  test('names who was left out, and why', () => {
    const text = tables(report(told([], { absent: { haproxy: 'it is not installed' } })))
    assert.match(text, /Left out: HAProxy, one thread \(it is not installed\)\./)
  })

  test('of a scenario without rivals has its own columns, its notes, and the mark of what was measured under load', () => {
    const sheet = {
      scenario: 'flat',
      title: 'Many of something',
      columns: ['', 'µs', '×'],
      digits: [0, 0, 2],
      rows: [['upstreams', 90.4, 1.071]],
      notes: ['Left out: keys (no database).'],
      otherLoad: 0.5,
    }
    const text = tables({ ...report(), sheets: [sheet] })
    assert.match(text, /\*\*Many of something\*\* — under load: others used 0\.5 cores/)
    assert.match(text, /\|  \| µs \| × \|\n\|---\|--:\|--:\|\n\| upstreams \| 90 \| 1\.07 \|/)
    assert.match(text, /\n\nLeft out: keys \(no database\)\.$/)
    const { otherLoad: _, ...quiet } = sheet
    assert.doesNotMatch(tables({ ...report(), sheets: [quiet] }), /under load/)
  })

  test('tells start and idle memory where they were measured', () => {
    const text = tables({ ...report(), begun: [{ title: 'Postern', first: 412.3, cpu: 320, idle: 59.6 }] })
    assert.match(text, /\| Postern \| 412 \| 320 \| 60 \|/)
  })

  test('tells idle memory as a multiple of a bare server with the same packages', () => {
    const begun = [
      { title: bareWithModules, first: 100, cpu: 80, idle: 70 },
      { title: 'Postern', first: 400, cpu: 300, idle: 77 },
    ]
    assert.match(tables({ ...report(), begun }), /\| Postern \| 400 \| 300 \| 77 \| 1\.10 \|/)
    assert.match(tables({ ...report(), begun: begun.slice(1) }), /\| Postern \| 400 \| 300 \| 77 \|  \|/)
  })
})

describe('a chart', () => {
  test('has a bar for everybody with a figure, and none for who had errors', () => {
    const list = [
      figures('http-proxy-3'),
      figures('postern', { cpu: 50 }),
      figures('fastify', { errors: 1 }),
      figures('portkey', { cpu: 1e9 }),
    ]
    const text = chart(report(told(list)))
    assert.equal(text.match(/<rect/g)?.length, 3)
    assert.match(text, /width="50"/)
    assert.match(text, /width="300"/, 'bars end somewhere')
  })

  test('is empty where there is nothing to compare with', () => {
    assert.doesNotMatch(chart(report(told([figures('postern')]))), /<rect/)
  })
})

describe('the command', () => {
  const file = fileURLToPath(new URL('bench/e2e/run.ts', import.meta.url))
  const call = (...words: string[]) => spawnSync(process.execPath, [file, ...words], { encoding: 'utf8' })

  for (const [words, reason] of [
    [['--rivals', 'postern,envoy'], /--rivals knows no "envoy"\. Known: postern, /],
    [['--scenario', 'jsn'], /--scenario knows no "jsn"\. Known: json, /],
    [['--rounds', 'many'], /--rounds and --seconds are numbers above 0/],
  ] as const) {
    test(`refuses ${words.join(' ')}, and says what there is`, { skip: process.platform !== 'linux' }, () => {
      const { status, stderr } = call(...words)
      assert.equal(status, 1)
      assert.match(stderr, reason)
    })
  }

  test('that is told to end takes its servers with it', { skip: process.platform !== 'linux' }, async () => {
    const child = spawn(process.execPath, [file, '--anyway', '--scenario', 'json', '--rivals', 'http-proxy-3'])
    const ended = once(child, 'exit')
    const children = () => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')
    await until(() => children().length >= 2)
    const servers = children()
    child.kill('SIGTERM')
    await ended
    await until(() => !servers.some((pid) => existsSync(`/proc/${pid}`)))
  })

  test('knows every option that its document names', () => {
    const { stdout } = call('--help')
    const [document = ''] = readFileSync(new URL('../docs/benchmarks.md', import.meta.url), 'utf8').split('\n## ')
    const named = document.match(/--[a-z]+\b/g) ?? []
    assert.ok(named.length >= 4)
    for (const option of named) assert.ok(stdout.includes(`  ${option} `), `${option} is not there`)
    const { 1: lists = '' } = /--scenario (\S+) --rivals/.exec(document) ?? []
    for (const name of lists.split(',')) assert.ok(name in scenarios, `there is no scenario ${name}`)
    const { 1: all = '' } = /--scenario A,B {2}Of ([a-z, ]+)\./.exec(stdout) ?? []
    for (const name of all.split(', '))
      assert.match(document, new RegExp(`\\*\\*\`${name}\`\\*\\*`), `${name} is explained`)
  })
})

describe('/proc', { skip: !existsSync('/proc/self/stat') }, () => {
  test('tells the CPU time that a process has used', () => {
    const before = cpuOf(process.pid)
    const own = () => process.cpuUsage().user + process.cpuUsage().system
    const from = own()
    while (own() - from < 60_000) Math.sqrt(from)
    assert.ok(cpuOf(process.pid) - before >= 30_000, 'a tick is 10 ms')
  })

  test('tells memory, and the machine without its name', async () => {
    assert.ok(Math.abs(residentOf(process.pid) - process.memoryUsage.rss() / 2 ** 20) < 50)
    assert.match(described(), /^\d+ cores \(.+\), \d+ GiB, Linux \d+\.\d+, Node \d+/)
    assert.ok((await otherLoad(20)) >= 0)
  })
})

describe('a server', () => {
  test('that ends before it listens is told with its last words', async () => {
    const program = { words: [process.execPath, '-e', 'process.stderr.write("no such file"); process.exitCode = 1'] }
    await assert.rejects(start(program, 0), /does not listen: no such file/)
  })

  test('that cannot be started is told', async () => {
    await assert.rejects(start({ words: ['no-such-program-of-anybody'] }, 0), /does not listen/)
  })
})
