/**
 * `npm test`: every fast suite, in as many processes as there are cores (a process for each file would take sixteen times as long as
 * one for all). With patterns behind it, those files instead, in one process.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'

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
// More than four would wait for each other's servers.
const processes = given.length > 0 ? 1 : Math.min(4, availableParallelism())
// A test that never ends fails the run instead of holding it.
const isLong = Number(process.env.POSTERN_RUNS ?? 1) > 1
const longest = isLong ? 3_600_000 : 120_000
const runner = ['--test', '--test-isolation=none', `--test-timeout=${longest}`]
/** How long a process may say nothing, in ms: longer than any test takes. */
const patience = longest + 30_000

// Every so many files, so that each process has some of every suite.
const shares = Array.from({ length: processes }, (_, at) => files.filter((_, index) => index % processes === at))
const runs = await Promise.all(shares.map((share, at) => run(share, at === 0)))
for (const { said, isShown } of runs) if (!isShown) process.stdout.write(said)
// What failed stands last, whoever ran it.
const failed = runs.filter(({ code }) => code !== 0)
if (processes > 1) for (const { said } of failed) process.stdout.write(failuresIn(said))
process.exitCode = failed.length > 0 ? 1 : 0

interface Run {
  readonly code: number
  readonly said: string
  readonly isShown: boolean
}

/** The runner's own list; of one that never came to it, the lines that it would be made of. */
function failuresIn(said: string): string {
  const at = said.lastIndexOf('\n✖ failing tests:')
  return at < 0 ? (said.match(/^ *✖.*\n/gm) ?? []).join('') : said.slice(at)
}

/** Runs them in one process; `isShown`: what it says is seen while it runs. */
async function run(share: readonly string[], isShown: boolean): Promise<Run> {
  const colours = process.stdout.isTTY && isShown ? { FORCE_COLOR: '1' } : {}
  const child = spawn(process.execPath, [...runner, ...share], {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { ...process.env, ...colours },
  })
  let said = ''
  // Nor does something that a failed test has left open.
  const deadline = setTimeout(() => {
    process.stderr.write(`these did not end in time, something was left open: ${share.join(' ')}\n`)
    child.kill('SIGKILL')
  }, patience)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (isShown) process.stdout.write(text)
    deadline.refresh()
  })
  const [code]: unknown[] = await once(child, 'close')
  clearTimeout(deadline)
  return { code: typeof code === 'number' ? code : 1, said, isShown }
}
