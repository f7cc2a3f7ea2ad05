/**
 * `npm run soak:load`: bodies of 150 KB, up to 1 500 at the same time, all of them held while their upstream thinks. What does the gateway
 * weigh then and afterwards, and whom does it turn away, with the limit that it has by itself and with one of 400 MiB?
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ask, type Outcome } from './client.ts'
import { SoakedGateway } from './gateway.ts'
import { questionOf } from './mix.ts'
import { conclude, mebibytes, quantile, say, table, type Row } from './report.ts'
import { startUpstream, type UpstreamProcess } from './upstream-process.ts'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '100,500,1000,1500' },
    kilobytes: { type: 'string', default: '150' },
    limits: { type: 'string', default: 'default,400MiB' },
    think: { type: 'string', default: '3000' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write(
    'npm run soak:load -- [--steps 100,500,1000,1500] [--kilobytes 150] [--limits default,400MiB] [--think MS]\n',
  )
  process.exit(0)
}

const wrong: string[] = []
await using upstream = await startUpstream(['well'])
for (const limit of values.limits.split(',')) table(`limits.memory: ${limit}`, await climb(limit, upstream))
conclude(wrong)

async function climb(limit: string, { urls }: UpstreamProcess<'well'>): Promise<Row[]> {
  await using gateway = await SoakedGateway.make()
  await gateway.write({
    limits: limit === 'default' ? {} : { memory: limit },
    plugins: ['openai', { 'body-patch': {} }, 'failover'],
    upstreams: [{ name: 'well', provider: 'openai', url: urls.well, key: 'upstream-key-of-well' }],
  })
  await gateway.start()
  const idle = await gateway.weigh()
  const rows = [rowOf(0, [], idle, idle)]
  for (const step of values.steps.split(',').map(Number)) {
    rows.push(await one(gateway, step))
    say(`limits.memory ${limit}: ${step} at once`)
  }
  const code = await gateway.end('SIGTERM')
  if (code !== 0) wrong.push(`the gateway ended with ${code}`)
  return rows
}

/** So many at once, to their ends. */
async function one(gateway: SoakedGateway, atOnce: number): Promise<Row> {
  const padding = Number(values.kilobytes) * 1000
  const pause = Number(values.think)
  let isOver = false
  const watching = peak(gateway, () => isOver)
  const asking = Array.from({ length: atOnce }, (_, at) => {
    const question = questionOf(`b${atOnce}-${at}`, () => 0.5, { api: 'chat', stream: false, pause })
    return ask(gateway.url, question, { key: 'nobody-looks-at-it', padding })
  })
  const outcomes = await Promise.all(asking)
  isOver = true
  const most = await watching
  for (const outcome of outcomes) judge(outcome)
  // What was freed last is collected when the loop has turned.
  await sleep(1000)
  await gateway.weigh()
  return rowOf(atOnce, outcomes, most, await gateway.weigh())
}

function rowOf(atOnce: number, outcomes: readonly Outcome[], most: Load, after: Load): Row {
  const ended = (end: Outcome['end']) => outcomes.filter((outcome) => outcome.end === end).length
  const turned = { whole: ended('whole'), 'turned away': ended('refused') }
  return { 'at once': atOnce, ...turned, ...weightOf('peak', most), ...weightOf('after', after) }
}

function judge({ end, code, status, question, wrong: why, text }: Outcome): void {
  if (end === 'whole' || (end === 'refused' && /^overloaded/i.test(code) && status === 503)) return
  wrong.push(`${question.id} ended ${end} ${status} ${code}: ${why ?? ''} ${text.slice(-200)}`)
}

interface Load {
  rss: number
  heapUsed: number
  external: number
}

async function peak(gateway: SoakedGateway, isOver: () => boolean): Promise<Load> {
  const looks: Load[] = []
  while (!isOver()) {
    looks.push(await gateway.weigh('as it is'))
    await sleep(100)
  }
  const most = (of: keyof Load) =>
    quantile(
      looks.map((look) => look[of]),
      1,
    )
  return { rss: most('rss'), heapUsed: most('heapUsed'), external: most('external') }
}

function weightOf(when: string, { rss, heapUsed, external }: Load): Row {
  return {
    [`RSS ${when}`]: mebibytes(rss),
    [`heap ${when}`]: mebibytes(heapUsed),
    [`external ${when}`]: mebibytes(external),
  }
}
