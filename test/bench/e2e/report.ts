/** What was measured, as a table for people and as a chart. */
import { bareWithModules, type Begun } from './begin.ts'
import { direct, type Figures, type Told } from './measure.ts'
import { rivals } from './rivals.ts'
import { sheetTable, type Sheet } from './sheet.ts'

/** One run of the command. */
export interface Report {
  /** The day, as 2026-01-31. */
  readonly day: string
  readonly machine: string
  readonly rounds: number
  /** Of one turn. */
  readonly seconds: number
  readonly told: readonly Told[]
  /** Of scenarios that compare no rivals. */
  readonly sheets: readonly Sheet[]
  readonly begun: readonly Begun[]
}

/** The rival that everybody's CPU time is told as a multiple of: nobody's gateway would do less for the same road. */
const measure = 'http-proxy-3'

/** Above this many cores of others' work a figure is marked. */
const quiet = 0.15

/** All of it in Markdown. */
export function tables(report: Report): string {
  const head = `${report.day}; ${report.machine}; medians of ${report.rounds} interleaved rounds of ${report.seconds} s.`
  const sheets = report.sheets.map((sheet) => sheetTable(sheet, marked(sheet)))
  const begun = report.begun.length > 0 ? [beginnings(report.begun)] : []
  return [head, ...report.told.map(table), ...sheets, ...begun].join('\n\n')
}

function table(told: Told): string {
  const base = told.figures.find(({ rival }) => rival === measure)?.cpu
  const way = told.figures.find(({ rival }) => rival === direct)
  const rows = told.figures.map((figures) => `| ${cells(figures, base, way).join(' | ')} |`)
  const reasons = Object.entries(Object.groupBy(Object.keys(told.absent), (name) => told.absent[name]!))
  const absent = reasons.map(([why, names = []]) => `Left out: ${names.map(titleOf).join('; ')} (${why}).`)
  return [
    `**${told.title}**${marked(told)}`,
    '',
    '| | CPU, µs/request | × http-proxy-3 | requests/s | added p50, ms | added p99, ms | first byte p50, ms | MiB |',
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...rows,
    ...(absent.length > 0 ? ['', ...absent] : []),
  ].join('\n')
}

/** A figure that others have disturbed says so. */
function marked({ otherLoad = 0 }: Pick<Sheet, 'otherLoad'>): string {
  return otherLoad > quiet ? ` — under load: others used ${otherLoad.toFixed(1)} cores meanwhile` : ''
}

function cells(figures: Figures, base: number | undefined, way: Figures | undefined): readonly string[] {
  const title = titleOf(figures.rival)
  if (figures.errors > 0) return [title, `${figures.errors} errors: nothing was measured`, '', '', '', '', '', '']
  const { cpu, resident } = figures
  const added = (of: 'p50' | 'p99' | 'firstP50') => (figures[of] - (way?.[of] ?? 0)).toFixed(2)
  const isWay = figures === way
  return [
    title,
    cpu === undefined ? '' : cpu.toFixed(0),
    cpu === undefined || base === undefined ? '' : (cpu / base).toFixed(2),
    figures.perSecond.toFixed(0),
    isWay ? `(${figures.p50.toFixed(2)})` : added('p50'),
    isWay ? `(${figures.p99.toFixed(2)})` : added('p99'),
    isWay ? `(${figures.firstP50.toFixed(2)})` : added('firstP50'),
    resident === undefined ? '' : resident.toFixed(0),
  ]
}

function beginnings(begun: readonly Begun[]): string {
  const base = begun.find(({ title }) => title === bareWithModules)?.idle
  const rows = begun.map(({ title, first, cpu, idle }) => {
    const ratio = base === undefined ? '' : (idle / base).toFixed(2)
    return `| ${title} | ${first.toFixed(0)} | ${cpu.toFixed(0)} | ${idle.toFixed(0)} | ${ratio} |`
  })
  return [
    '**Start**',
    '',
    '| | first answer after, ms | CPU until then, ms | idle, MiB | × with the packages |',
    '|---|--:|--:|--:|--:|',
    ...rows,
  ].join('\n')
}

function titleOf(name: string): string {
  return rivals[name]?.title ?? 'Nobody between'
}

/** CPU time per request of everybody, a bar each, one group per scenario: SVG that reads on light and on dark ground. */
export function chart({ told, day }: Report): string {
  const bars = told.flatMap((scenario) => group(scenario))
  const height = 30 + bars.length * 20
  const lines = bars.map(({ text, share, label }, at) => {
    const y = 40 + at * 20
    if (share === undefined) return `<text x="0" y="${y}" font-weight="bold">${text}</text>`
    const width = Math.max(1, Math.min(300, share * 100)).toFixed(0)
    const fill = text.startsWith('Postern') ? '#2f7d4f' : '#8a94a3'
    return `<text x="8" y="${y}">${text}</text><rect x="300" y="${y - 11}" width="${width}" height="13" fill="${fill}"/><text x="${308 + Number(width)}" y="${y}">${label}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#7a8494">
<text x="0" y="16">CPU time per request, bare http-proxy-3 = 1 (bars end at 3); ${day}</text>
${lines.join('\n')}
</svg>
`
}

interface Bar {
  readonly text: string
  readonly share?: number
  readonly label?: string
}

function group({ title, figures }: Told): readonly Bar[] {
  const base = figures.find(({ rival }) => rival === measure)?.cpu
  if (base === undefined || base === 0) return []
  const bars = figures.flatMap(({ rival, cpu, errors }) => {
    if (cpu === undefined || errors > 0) return []
    return [{ text: titleOf(rival), share: cpu / base, label: (cpu / base).toFixed(2) }]
  })
  return [{ text: title }, ...bars]
}
