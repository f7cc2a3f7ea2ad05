/**
 * `npm run bench:e2e`: Postern and its rivals before one fast upstream, in turns, on the reader's own machine. What counts is the
 * ratio of CPU time per request, which noise disturbs least. Prints tables; writes JSON and a chart.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { begin, type Begun } from './begin.ts'
import { flat } from './flat.ts'
import { described } from './machine.ts'
import { measure, type Told } from './measure.ts'
import { memory } from './memory.ts'
import { endTogether } from './processes.ts'
import { chart, tables, type Report } from './report.ts'
import { rivals } from './rivals.ts'
import { scenarios } from './scenarios.ts'
import type { Sheet } from './sheet.ts'
import type { Effort } from './turn.ts'
import { websocket } from './websocket.ts'

/** Scenarios in which no gateways compete for HTTP: each is told in a table of its own. */
const sheetsOf: Readonly<Record<string, (effort: Effort) => Promise<Sheet>>> = {
  websocket: (effort) => websocket('websocket', effort),
  turns: (effort) => websocket('turns', effort),
  flat,
  memory,
}
/** A start takes seconds, and differs less than a turn. */
const mostStarts = 5

const names = [...Object.keys(scenarios), ...Object.keys(sheetsOf), 'start']

const help = `npm run bench:e2e -- [options]

  --scenario A,B  Of ${names.join(', ')}. Default: all
  --rivals A,B    Of ${Object.keys(rivals).join(', ')}. Default: all
  --rounds N      How many turns each rival has. Default: 7
  --seconds N     How long a turn is. Default: 1
  --quick         Two turns of half a second: to see whether it works
  --anyway        Judges although others use the machine; the figures are marked
  --document      Writes the figures into docs/benchmarks.md as well
`
const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: names.join(',') },
    rivals: { type: 'string', default: Object.keys(rivals).join(',') },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    anyway: { type: 'boolean', default: false },
    document: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const asked = known('scenario', values.scenario, names)
const contenders = known('rivals', values.rivals, Object.keys(rivals))
if (values.help) process.stdout.write(help)
else if (process.platform !== 'linux') fail('it reads /proc, which this system does not have: Linux alone.')
else if (asked && contenders) await run(asked, contenders)

async function run(asked: readonly string[], contenders: readonly string[]): Promise<void> {
  endTogether()
  const rounds = values.quick ? 2 : Number(values.rounds)
  const seconds = values.quick ? 0.5 : Number(values.seconds)
  if (!(rounds >= 1 && seconds > 0)) return fail('--rounds and --seconds are numbers above 0.')
  const effort = { rounds, seconds, anyway: values.anyway }
  const told: Told[] = []
  const sheets: Sheet[] = []
  let begun: readonly Begun[] = []
  try {
    for (const name of asked) {
      const scenario = scenarios[name]
      if (scenario) told.push(await measure(name, scenario, contenders, effort))
      else if (name === 'start') begun = await begin(Math.min(rounds, mostStarts))
      else sheets.push(await sheetsOf[name]!(effort))
    }
    write({ day: new Date().toISOString().slice(0, 10), machine: described(), rounds, seconds, told, sheets, begun })
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error))
  }
}

function write(report: Report): void {
  const root = fileURLToPath(new URL('../../../', import.meta.url))
  const folder = join(root, '.cache/bench')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'e2e.json'), `${JSON.stringify(report, null, 2)}\n`)
  writeFileSync(join(folder, 'e2e.svg'), chart(report))
  process.stdout.write(`${tables(report)}\n\nJSON and chart: ${join(folder, 'e2e.json')}, e2e.svg\n`)
  if (!values.document) return
  const path = join(root, 'docs/benchmarks.md')
  const marks = /(<!-- figures -->\n)[\s\S]*?(<!-- \/figures -->)/
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(marks, (_, from, to) => `${from}\n${tables(report)}\n\n${to}`),
  )
  writeFileSync(join(root, 'docs/pictures/benchmarks.svg'), chart(report))
}

/** The names asked for; null, and told, where one is not there. */
function known(option: string, given: string, names: readonly string[]): readonly string[] | null {
  const list = given.split(',')
  const wrong = list.find((name) => !names.includes(name))
  if (wrong === undefined) return list
  fail(`--${option} knows no "${wrong}". Known: ${names.join(', ')}.`)
  return null
}

function fail(reason: string): void {
  process.stderr.write(`bench:e2e: ${reason}\n`)
  process.exitCode = 1
}
