/**
 * `npm run fuzz -- [TARGET…] [--minutes 10 | --seconds 5] [--seed N] [--keep]`: looks for inputs that break a promise, one target
 * after the other. A fault is made small and written to test/fuzz/seeds/TARGET/, where `npm test` plays it from then on. The same
 * seed tries the same inputs, as far as nothing but the code decides. --keep writes the inputs that reached most as the target's
 * corpus, with which later runs begin.
 */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Coverage } from './coverage.ts'
import { distilled } from './distil.ts'
import { fuzz, type FuzzReport } from './engine.ts'
import { growthOf } from './growth.ts'
import { readCorpus, readSeeds, writeCorpus, writeSeed } from './seeds.ts'
import { targets } from './targets.ts'
import type { FuzzTarget } from './target.ts'
import { Watchdog } from './watchdog.ts'

/** What is played once more, after it was played before, has no reason to hold more than this, in bytes. */
const mostGrowth = 16 * 2 ** 20

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '10' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const names = targets.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')
if (values.help) {
  process.stdout.write(
    `npm run fuzz -- [TARGET…] [--minutes 10 | --seconds 5] [--seed N] [--keep]\n\nTargets, all of them where none is named:\n${names}\n\n` +
      '  --minutes N  How long each is tried\n' +
      '  --seed N     Tries the same inputs again\n' +
      '  --keep       Writes the inputs that reached most, for later runs to begin with\n',
  )
  process.exit(0)
}
const seconds = values.seconds === undefined ? Number(values.minutes) * 60 : Number(values.seconds)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
const unknown = positionals.find((name) => !targets.some((target) => target.name === name))
if (unknown !== undefined || !(seconds > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write(
    `${unknown === undefined ? '--minutes, --seconds and --seed want numbers' : `there is no target "${unknown}"`}; there are\n${names}\n`,
  )
  process.exit(2)
}

const chosen = targets.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
process.exit((chosen.length === 1 ? await runOne(chosen[0]!) : runEach(chosen)) ? 0 : 1)

/** Each in a process of its own: coverage tells of blocks only in functions that were never called before it began. */
function runEach(these: readonly FuzzTarget[]): boolean {
  const flags = [`--seconds=${seconds}`, `--seed=${seed}`, ...(values.keep ? ['--keep'] : [])]
  const results = these.map(({ name }) =>
    spawnSync(process.execPath, [fileURLToPath(import.meta.url), name, ...flags], { stdio: 'inherit' }),
  )
  return results.every(({ status }) => status === 0)
}

async function runOne(target: FuzzTarget): Promise<boolean> {
  process.stdout.write(`${target.name}, seed ${seed}: ${target.about}\n`)
  await using watchdog = new Watchdog(target.longest, join(tmpdir(), `postern-fuzz-${target.name}-${seed}.bin`))
  const corpus = [...readCorpus(target.name), ...readSeeds(target.name).values()]
  const coverage = new Coverage()
  const report = await fuzz(target, { seconds, seed, corpus, coverage, onInput: (input) => watchdog.begins(input) })
  watchdog.rests()
  for (const { fault, input, execution } of report.faults) {
    const { rule, message } = fault
    const path = writeSeed(target.name, { rule, detail: message, seed, execution, input: input.toString('latin1') })
    process.stdout.write(`  FAULT ${message.slice(0, 2000)}\n  ${path}\n`)
  }
  if (values.keep) {
    const kept = await distilled(target, report.corpus, coverage)
    process.stdout.write(`  ${kept.length} inputs kept: ${writeCorpus(target.name, kept)}\n`)
  }
  coverage[Symbol.dispose]()
  const growth = await growthOf(target, report.corpus, Math.min(10, seconds / 20))
  tell(report, growth)
  if (growth > mostGrowth) process.stdout.write('  FAULT: memory is held on to\n')
  return report.faults.length === 0 && growth <= mostGrowth
}

function tell({ executions, seconds: took, corpus, share, words }: FuzzReport, growth: number): void {
  const outcomes = [...words].toSorted(([, one], [, other]) => other - one).slice(0, 8)
  process.stdout.write(
    `  ${executions} executions in ${took.toFixed(0)} s, ${Math.round(executions / took)}/s; corpus ${corpus.length}; ` +
      `${share.run} of ${share.all} characters of source (${((100 * share.run) / Math.max(1, share.all)).toFixed(1)} %); ` +
      `${(growth / 2 ** 20).toFixed(1)} MiB grown\n  ${words.size} outcomes: ${outcomes.map(([word, times]) => `${word} ${times}`).join(' | ')}\n`,
  )
}
