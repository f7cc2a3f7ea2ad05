/** The fuzzer finds what is there to be found, and what it once found stays mended. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { Coverage } from './coverage.ts'
import { distilled } from './distil.ts'
import { attempt, fuzz, letStraysGo } from './engine.ts'
import { minimised } from './minimise.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { readCorpus, readSeeds } from './seeds.ts'
import { targets } from './targets.ts'
import { Choices, Fault, utf8, type FuzzTarget } from './target.ts'

describe('what was found, and what reached most, is well', () => {
  for (const target of targets) {
    test(`${target.name}: ${target.about}`, async () => {
      await using opened = await target.open()
      const inputs = [...target.starts.entries(), ...readCorpus(target.name).entries(), ...readSeeds(target.name)]
      assert.ok(inputs.length > 0)
      for (const [name, input] of inputs) {
        const outcome = await attempt(opened, input)
        assert.ok('word' in outcome, 'fault' in outcome ? `${name}: ${outcome.fault.message}` : '')
      }
      letStraysGo()
    })
  }

  test('each target has a name and a corpus of its own, and says what it holds against what', () => {
    assert.equal(new Set(targets.map(({ name }) => name)).size, targets.length)
    for (const { name, about, longest, batch } of targets) {
      assert.ok(about.length > 20 && longest > 0 && batch > 0, name)
      assert.ok(readCorpus(name).length > 0, `${name}: npm run fuzz -- ${name} --keep`)
    }
  })
})

let copies = 0

/** A module that was never called, so that coverage tells of its blocks. */
async function freshGate(): Promise<(input: Buffer) => boolean> {
  const module: unknown = await import(`./planted.fixture.ts?${++copies}`)
  return (module as { gate: (input: Buffer) => boolean }).gate // a copy of planted.fixture.ts
}

/** A fault behind four bytes, each in a branch of its own. */
async function planted(): Promise<FuzzTarget> {
  const gate = await freshGate()
  return {
    name: 'planted',
    about: 'a fault that only whoever looks at coverage finds',
    covers: ['test/fuzz/planted.fixture.ts'],
    starts: [Buffer.from('xxxxxxxx')],
    words: utf8('g', 'a', 't', 'e'),
    longest: 64,
    batch: 500,
    open: async () => ({
      run(input) {
        if (gate(input)) throw new Fault('the gate stays shut')
        return 'shut'
      },
      async [Symbol.asyncDispose]() {},
    }),
  }
}

describe('the fuzzer', () => {
  test('finds its way by coverage to a fault behind four bytes, and makes it small', async () => {
    using coverage = new Coverage()
    const options = { seconds: 60, seed: 1, corpus: [], mostFaults: 1, coverage }
    const { faults, executions, share } = await fuzz(await planted(), options)
    assert.equal(faults.length, 1, `not in ${executions} executions`)
    assert.equal(faults[0]!.fault.rule, 'the gate stays shut')
    assert.equal(faults[0]!.input.toString('latin1', 0, 4), 'gate')
    assert.ok(faults[0]!.input.length <= 5)
    assert.ok(share.run > 0 && share.run <= share.all)
  })

  test('makes the same inputs of the same seed', () => {
    const inputs = (seed: number) => {
      const random = new Random(seed)
      const input = Buffer.from('{"a":1}')
      return Array.from({ length: 200 }, () =>
        mutate(random, input, Buffer.from('other'), { words: utf8('word'), longest: 40 }).toString('latin1'),
      )
    }
    assert.deepEqual(inputs(7), inputs(7))
    assert.notDeepEqual(inputs(7), inputs(8))
    assert.ok(inputs(7).every(({ length }) => length <= 40))
    assert.ok(new Set(inputs(7)).size > 150)
  })

  test('takes what is thrown where nobody catches it for a fault', async () => {
    // In a process of its own: here the test runner would take it for a fault of the test.
    const script = `
      import { attempt } from ${JSON.stringify(new URL('engine.ts', import.meta.url).href)}
      const opened = { run: () => new Promise((resolve) => {
        setTimeout(resolve, 50, 'over')
        setImmediate(() => { throw new Error('nobody catches 17 of these') })
      }) }
      const { fault } = await attempt(opened, Buffer.alloc(0))
      process.stdout.write(fault.rule)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
    assert.equal(stdout, 'Error nobody catches … of these')
  })

  test('keeps of many inputs those that reach something, the short ones', async () => {
    const inputs = ['x', 'g', 'gx', 'gaxxxxxx', 'ga', 'gat', 'gat'].map((text) => Buffer.from(text))
    using coverage = new Coverage()
    const kept = await distilled(await planted(), inputs, coverage)
    letStraysGo()
    assert.deepEqual(kept.map(String), ['x', 'g', 'ga', 'gat'])
  })
})

describe('an input that shows a fault', () => {
  test('is made as small and as plain as it goes', async () => {
    const isStill = async (input: Buffer) => input.includes('needle') && input.length >= 8
    const small = await minimised(Buffer.from(`${'hay '.repeat(50)}needle${' hay'.repeat(50)}`), isStill)
    assert.match(small.toString(), /^a*needlea*$/)
    assert.equal(small.length, 8)
  })

  test('is left as it is where nothing can go', async () => {
    const input = Buffer.from('\x01\x02')
    assert.equal(await minimised(input, async () => false), input)
  })
})

describe('coverage', () => {
  test('tells what runs for the first time, and what runs again', async () => {
    using coverage = new Coverage()
    const gate = await freshGate()
    coverage.begin(['test/fuzz/planted.fixture.ts'])
    gate(Buffer.from('x'))
    const first = coverage.take()
    assert.equal(first.size, 1)
    gate(Buffer.from('x'))
    assert.equal(coverage.take().size, 0)
    gate(Buffer.from('gx'))
    const second = coverage.take()
    assert.ok((second.get('test/fuzz/planted.fixture.ts') ?? []).length > 0)
    gate(Buffer.from('x'))
    assert.equal(coverage.among(second).size, 0)
    gate(Buffer.from('gx'))
    assert.deepEqual(coverage.among(second), second)
    const { run, all } = coverage.share
    assert.ok(run > 0 && run < all)
  })
})

test('choices come from the front of an input, and are zero where it has ended', () => {
  const choices = new Choices(Buffer.from([7, 1, 2, 3]))
  assert.deepEqual([choices.below(5), choices.pick(['a', 'b'])], [2, 'b'])
  assert.deepEqual([...choices.take(1)], [2])
  assert.equal(choices.isOver, false)
  assert.deepEqual([...choices.rest()], [3])
  assert.deepEqual([choices.isOver, choices.below(9), choices.rest().length], [true, 0, 0])
})
