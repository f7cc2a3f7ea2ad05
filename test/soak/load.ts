/**
 * `npm run soak:load`: bodies of 150 KB, up to 1 500 at the same time, all of them held while their upstream thinks. What does the gateway
 * weigh then and afterwards, and whom does it turn away, with the limit that it has by itself and with one of 400 MiB?
 */
import { parseArgs } from 'node:util'
import { climb, type Load, type Step } from './climb.ts'
import { conclude, mebibytes, say, table, type Row } from './report.ts'

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
for (const limit of values.limits.split(',')) {
  const climbing = {
    steps: values.steps.split(',').map(Number),
    kilobytes: Number(values.kilobytes),
    think: Number(values.think),
    ...(limit === 'default' ? {} : { limit }),
  }
  const steps = await climb(climbing, wrong, (atOnce) => say(`limits.memory ${limit}: ${atOnce} at once`))
  table(`limits.memory: ${limit}`, steps.map(rowOf))
}
conclude(wrong)

function rowOf({ atOnce, whole, turnedAway, peak, after }: Step): Row {
  return { 'at once': atOnce, whole, 'turned away': turnedAway, ...weightOf('peak', peak), ...weightOf('after', after) }
}

function weightOf(when: string, { rss, heapUsed, external }: Load): Row {
  return {
    [`RSS ${when}`]: mebibytes(rss),
    [`heap ${when}`]: mebibytes(heapUsed),
    [`external ${when}`]: mebibytes(external),
  }
}
