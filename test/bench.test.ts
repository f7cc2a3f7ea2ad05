/** What `npm run bench` says of what its benchmarks have told; the measuring itself is no test. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isHeld, tell, toldFile, bench, type Bounded } from './bench.ts'
import { summary, type Ran } from './bench/summary.ts'

const bounded = (ratio: number, bound: Bounded['bound']): Bounded => ({ what: 'a body', way: 'naive', ratio, bound })
const ran = (more: Partial<Ran> = {}): Ran => ({ file: 'a.bench.ts', ended: 0, told: [], ...more })

describe('a bound', () => {
  for (const [ratio, bound, held] of [
    [2, { atLeast: 2 }, true],
    [1.99, { atLeast: 2 }, false],
    [1.3, { atMost: 1.3 }, true],
    [1.31, { atMost: 1.3 }, false],
    [1.2, { atLeast: 1, atMost: 1.3 }, true],
    [Number.NaN, { atMost: 1.3 }, false],
  ] as const) {
    test(`of ${JSON.stringify(bound)} is ${held ? 'held' : 'missed'} by ${ratio}`, () => {
      assert.equal(isHeld(bounded(ratio, bound)), held)
    })
  }

  test('on a way that is not there is a mistake', async () => {
    await assert.rejects(bench('one', { own: () => 1 }, { nave: { atLeast: 2 } }), /one has no way "nave"/)
  })

  test('is told where somebody reads, and nowhere else', () => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-told-'))
    try {
      tell(bounded(3, { atLeast: 2 }))
      process.env[toldFile] = join(folder, 'told')
      tell(bounded(1, { atLeast: 2 }))
      tell(bounded(2, { atLeast: 2 }))
      const lines = readFileSync(join(folder, 'told'), 'utf8').trim().split('\n')
      assert.deepEqual(
        lines.map((line) => (JSON.parse(line) as Bounded).ratio),
        [1, 2],
      )
    } finally {
      delete process.env[toldFile]
      rmSync(folder, { recursive: true })
    }
  })
})

describe('the table at the end', () => {
  test('says of each ratio whether its bound is held', () => {
    const text = summary([ran({ told: [bounded(3, { atLeast: 2 }), bounded(1.5, { atLeast: 2, atMost: 9 })] })])
    assert.match(text, /^pass +3\.00 x +>= 2 +naive: a body +a\.bench\.ts$/m)
    assert.match(text, /^MISS +1\.50 x +>= 2, <= 9 +naive: a body +a\.bench\.ts$/m)
    assert.match(text, /^1 of 2 bounds are held$/m)
  })

  test('names benchmarks without a bound, and those that did not come to their end', () => {
    const text = summary([ran(), ran({ file: 'b.bench.ts', ended: 1 }), ran({ file: 'c.bench.ts', ended: 'SIGKILL' })])
    assert.match(text, /^Without a bound: a\.bench\.ts$/m)
    assert.match(text, /^b\.bench\.ts did not come to its end \(1\)$/m)
    assert.match(text, /^c\.bench\.ts did not come to its end \(SIGKILL\)$/m)
  })
})

describe('the command', () => {
  const call = (...words: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL('bench/run.ts', import.meta.url)), ...words], {
      encoding: 'utf8',
    })

  test('lists every benchmark of the house, or those with a word in their path', () => {
    const all = call('--list').stdout.trim().split('\n')
    assert.ok(all.includes('core/body/scan.bench.ts') && all.includes('plugins/ip-rules/ip-rules.bench.ts'))
    assert.ok(all.every((file) => !file.includes('node_modules')))
    assert.deepEqual(call('--list', 'ip-rules').stdout, 'plugins/ip-rules/ip-rules.bench.ts\n')
  })

  test('runs one, and tells its bound', () => {
    const { stdout, status } = call('ip-rules')
    assert.equal(status, 0)
    assert.match(stdout, /^(pass|MISS) +[\d.]+ x +>= 100 +compiled per request: 1 000 rules/m)
    assert.match(stdout, /^[01] of 1 bounds are held$/m)
  })

  test('says so where there is none', () => {
    const { stderr, status } = call('no-such')
    assert.equal(status, 1)
    assert.match(stderr, /no benchmark has no-such in its path/)
  })
})
