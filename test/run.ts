/**
 * `npm test`: every fast suite in one process (a process for each file would take sixteen times as long). With patterns behind
 * it, those files instead.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'

const given = process.argv.slice(2)
const fast = [
  'core/**/*.test.ts',
  'plugins/**/*.test.ts',
  'test/*.test.ts',
  'docs/examples/*/*.test.ts',
  'test/e2e/*.test.ts',
  'test/conformance/*.test.ts',
  'test/faults/*.test.ts',
  'test/fuzz/*.test.ts',
  'test/soak/*.test.ts',
]
const patterns = given.length > 0 ? given : fast
const files = patterns.flatMap((pattern) => globSync(pattern)).toSorted()
if (files.length === 0) {
  process.stderr.write(`no test matches ${patterns.join(' ')}\n`)
  process.exit(1)
}
// A test that never ends fails the run instead of holding it.
const isLong = Number(process.env.POSTERN_RUNS ?? 1) > 1
const runner = ['--test', '--test-isolation=none', `--test-timeout=${isLong ? 3_600_000 : 120_000}`]
const child = spawn(process.execPath, [...runner, ...files], { stdio: 'inherit' })
// Nor does something that a failed test has left open.
const deadline = setTimeout(
  () => {
    process.stderr.write('the suites did not end in time: something was left open\n')
    child.kill('SIGKILL')
  },
  isLong ? 7_200_000 : 900_000,
)
child.on('exit', (code) => {
  clearTimeout(deadline)
  process.exit(code ?? 1)
})
