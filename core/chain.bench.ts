/** What it costs that a chain notes whom it asks, against a chain that notes nothing and one that keeps a record of each hook. */
import { bench } from '../test/bench.ts'
import { firstAnswer, type Link, type Walk } from './chain.ts'
import type { Exchange } from './plugin.ts'

let asked = 0
const hooks = Array.from({ length: 8 }, (_, at) => () => void (asked += at))
const links: Link<() => undefined>[] = hooks.map((hook, at) => ({
  plugin: `plugin-${at}`,
  hook: () => {
    hook()
    return undefined
  },
}))

function walk(): Exchange & Walk {
  const noted: Walk = { hook: null, isPending: false, answeredBy: null, said: [], attempt: 0 }
  return noted as Exchange & Walk // nobody looks at more
}

const chain = firstAnswer<void, object>('onRequest', links)!

/** The same loop, and nothing is noted. */
function withoutNotes(_exchange: Exchange & Walk): unknown {
  for (const { plugin, hook } of links) {
    try {
      const answer: unknown = hook()
      if (typeof answer === 'object' && answer !== null) return answer
    } catch (error) {
      throw new Error(plugin, { cause: error })
    }
  }
  return undefined
}

/** The naive way: who was asked, in which phase, and how long it took, for each. */
function withRecords(exchange: Exchange & Walk & { records?: object[] }): unknown {
  exchange.records = []
  for (const { plugin, hook } of links) {
    const since = performance.now()
    hook()
    exchange.records.push({ plugin, phase: 'onRequest', ms: performance.now() - since })
  }
  return undefined
}

await bench(
  'eight hooks that say nothing',
  {
    'nothing is noted': () => withoutNotes(walk()),
    'the hook that is asked is noted': () => chain(walk()),
    'a record of each, with its time': () => withRecords(walk()),
  },
  { 'the hook that is asked is noted': { atMost: 1.3 }, 'a record of each, with its time': { atLeast: 3 } },
)

let sum = 0
await bench('the three moments of an exchange', {
  'a look at the clock': () => (sum += performance.now()),
  'three of them': () => (sum += performance.now() + performance.now() + performance.now()),
})
if (asked + sum < 0) process.stdout.write('never\n')
