/** `postern test`: runs the tests of gateway.test.yaml and says which hold. */
import { dirname, join, resolve } from 'node:path'
import { ConfigError, forTools, render, type Problem } from '../config/problems.ts'
import { misses } from './test-compare.ts'
import { readTests, type ReadTests } from './test-file.ts'
import { runTest } from './test-run.ts'
import type { Values } from './table.ts'

interface Ran {
  readonly name: string
  readonly passed: boolean
  /** Milliseconds. */
  readonly ms: number
}

/** Resolves with the exit code: 0 if every test holds. */
export async function test({
  config: file,
  json,
  words: [named],
}: Values & { words: readonly string[] }): Promise<number> {
  const path = named ?? join(dirname(resolve(file)), 'gateway.test.yaml')
  const read = await readTests(path)
  const ran: Ran[] = []
  const say = (text: string) => void (json || process.stdout.write(`${text}\n`))
  let broken: readonly Problem[] = []
  for (const [at, one] of (read.tests?.tests ?? []).entries()) {
    const start = performance.now()
    const before = read.report.problems().length
    try {
      await runOne(read, at, file)
    } catch (error) {
      if (!(error instanceof ConfigError)) addTo(read, at, error instanceof Error ? error.message : String(error))
      else broken = error.problems
    }
    if (broken.length > 0) break
    const passed = read.report.problems().length === before
    ran.push({ name: one.name, passed, ms: Math.round(performance.now() - start) })
    say(`${passed ? '✔' : '✖'} ${one.name}`)
  }
  // What is wrong with gateway.yaml is wrong for every test of it.
  const problems = [...broken, ...read.report.problems()]
  if (json)
    process.stdout.write(
      `${JSON.stringify({ file: path, ok: problems.length === 0, tests: ran, problems: problems.map(forTools) }, null, 2)}\n`,
    )
  if (problems.length > 0) say(`\n${problems.map(render).join('\n\n')}\n`)
  say(`${ran.filter(({ passed }) => passed).length} passed, ${ran.filter(({ passed }) => !passed).length} failed`)
  return problems.length === 0 ? 0 : 1
}

async function runOne(read: ReadTests, at: number, file: string): Promise<void> {
  const settings = read.tests!
  const one = settings.tests[at]!
  const seen = await runTest(one, { file, settings, answers: read.answers[at]! })
  const found = misses(one, seen)
  for (const { path, what, expected, got } of found) {
    const offset = read.yaml!.offset(['tests', at, ...path])
    read.report.add(offset, `${one.name}: ${what}\n  - ${expected}\n  + ${got}`, undefined, 'TEST_FAILED')
  }
  const hints = [...seen.errors]
  if (found.some(({ what }) => what === 'the status')) hints.push(`the answer was: ${seen.text.slice(0, 300).trim()}`)
  if (found.length > 0 && hints.length > 0) addTo(read, at, hints.join('\n  '))
}

function addTo({ report, yaml }: ReadTests, at: number, message: string): void {
  report.add(yaml!.offset(['tests', at, 'name']), message, undefined, 'TEST_FAILED')
}
