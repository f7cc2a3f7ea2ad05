import { bench, rehearse } from 'postern/testing'
import lighthouse from './index.ts'

await using rehearsal = await rehearse({ plugins: [lighthouse] })
const body = JSON.stringify({ model: 'beam-1', messages: [{ role: 'user', content: '“Where is land?” '.repeat(500) }] })
const exchange = await rehearsal.exchange({ path: '/lighthouse/v1/chat/completions', body })
const hooks = rehearsal.hooks(lighthouse)

await bench('the model of a body of 12 KB', {
  'walked once, asked again': () => hooks.onBody?.(exchange),
  'parsed each time': () => (JSON.parse(exchange.body.bytes.toString('utf8')) as { model: string }).model,
})
