/**
 * `npm run bench`: every benchmark that holds its rival, one after the other, and at the end the ratios that have a bound. A miss is for
 * reading, on a machine that others use above all; what fails the run is a benchmark that does not come to its end.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { toldFile } from '../bench.ts'
import { summary, type Ran } from './summary.ts'

const help = `npm run bench -- [WORD…] [--list]

Runs all *.bench.ts of core, plugins and docs/examples; with words, those that have one in their path. Against other gateways: npm run bench:e2e.
`
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
})
const root = fileURLToPath(new URL('../../', import.meta.url))
const files = globSync(['core/**/*.bench.ts', 'plugins/**/*.bench.ts', 'docs/examples/**/*.bench.ts'], { cwd: root })
  .map((file) => file.split(sep).join('/'))
  .filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)))
  .toSorted()

if (values.help) process.stdout.write(help)
else if (values.list) process.stdout.write(`${files.join('\n')}\n`)
else if (files.length === 0) {
  process.stderr.write(
    `bench: no benchmark has ${positionals.join(' or ')} in its path. --list says which there are.\n`,
  )
  process.exitCode = 1
} else await runAll()

async function runAll(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))
  const told = join(folder, 'told.jsonl')
  const ran: Ran[] = []
  let lines = 0
  for (const file of files) {
    process.stdout.write(`\n${file}\n`)
    const child = spawn(process.execPath, [file], {
      cwd: root,
      env: { ...process.env, [toldFile]: told },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null] // of node:child_process
    const all = existsSync(told) ? readFileSync(told, 'utf8').trim().split('\n') : []
    ran.push({
      file,
      ended: signal ?? code ?? 0,
      told: all.slice(lines).map((line) => JSON.parse(line) as Ran['told'][number]),
    }) // of tell()
    lines = all.length
  }
  rmSync(folder, { recursive: true })
  process.stdout.write(`\n${summary(ran)}\n`)
  process.exitCode = ran.some(({ ended }) => ended !== 0) ? 1 : 0
}
