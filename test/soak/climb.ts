/** Large bodies, many at the same time, all of them held while their upstream thinks: what the gateway weighs, and whom it turns away. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Outcome } from './client.ts'
import { SoakedGateway } from './gateway.ts'
import { questionOf } from './mix.ts'
import { quantile } from './report.ts'
import { startUpstream } from './upstream-process.ts'

export interface Climb {
  /** How many at the same time, one step after the other. */
  readonly steps: readonly number[]
  /** Of each body. */
  readonly kilobytes: number
  /** How long the upstream takes, in ms. */
  readonly think: number
  /** `limits.memory`; absent: the one that the gateway has by itself. */
  readonly limit?: string
}

export interface Step {
  readonly atOnce: number
  readonly whole: number
  readonly turnedAway: number
  /** In bytes. */
  readonly peak: Load
  readonly after: Load
}

export interface Load {
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
}

/** The first step is the idle gateway. `wrong` takes what nobody had planned; `onStep` hears of each. */
export async function climb(
  { steps, kilobytes, think, limit }: Climb,
  wrong: string[],
  onStep: (atOnce: number) => void = () => {},
): Promise<readonly Step[]> {
  await using upstream = await startUpstream(['well'])
  await using gateway = await SoakedGateway.make()
  await gateway.write({
    limits: limit === undefined ? {} : { memory: limit },
    plugins: ['openai', { 'body-patch': {} }, 'failover'],
    upstreams: [{ name: 'well', provider: 'openai', url: upstream.urls.well, key: 'upstream-key-of-well' }],
  })
  await gateway.start()
  const idle = await gateway.weigh()
  const climbed: Step[] = [{ atOnce: 0, whole: 0, turnedAway: 0, peak: idle, after: idle }]
  for (const atOnce of steps) {
    climbed.push(await one(gateway, atOnce, kilobytes * 1000, think, wrong))
    onStep(atOnce)
  }
  const code = await gateway.end('SIGTERM')
  if (code !== 0) wrong.push(`the gateway ended with ${code}`)
  return climbed
}

/** So many at once, to their ends. */
async function one(
  gateway: SoakedGateway,
  atOnce: number,
  padding: number,
  pause: number,
  wrong: string[],
): Promise<Step> {
  let isOver = false
  const watching = peak(gateway, () => isOver)
  const asking = Array.from({ length: atOnce }, (_, at) => {
    const question = questionOf(`b${atOnce}-${at}`, () => 0.5, { api: 'chat', stream: false, pause })
    return ask(gateway.url, question, { key: 'nobody-looks-at-it', padding })
  })
  const outcomes = await Promise.all(asking)
  isOver = true
  const most = await watching
  for (const outcome of outcomes) judge(outcome, wrong)
  // What was freed last is collected when the loop has turned.
  await sleep(1000)
  await gateway.weigh()
  const ended = (end: Outcome['end']) => outcomes.filter((outcome) => outcome.end === end).length
  return { atOnce, whole: ended('whole'), turnedAway: ended('refused'), peak: most, after: await gateway.weigh() }
}

function judge({ end, code, status, question, wrong: why, text }: Outcome, wrong: string[]): void {
  if (end === 'whole' || (end === 'refused' && /^overloaded/i.test(code) && status === 503)) return
  wrong.push(`${question.id} ended ${end} ${status} ${code}: ${why ?? ''} ${text.slice(-200)}`)
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
