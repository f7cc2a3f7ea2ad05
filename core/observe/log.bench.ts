/** What the log costs an exchange: its line, what redaction takes of that, and what a level that is off saves. */
import { bench } from '../../test/bench.ts'
import type { LiveExchange } from '../exchange.ts'
import { logExchange } from './line.ts'
import { openLog, type RootLog } from './log.ts'
import { redactLine } from './redact.ts'

/** As much of an exchange as its line looks at. */
function exchange(log: RootLog): LiveExchange {
  return {
    gateway: { log },
    id: '9b2f0a1c-5a41-4c3b-9a0e-1f2e3d4c5b6a',
    method: 'POST',
    path: '/v1/chat/completions',
    status: 200,
    startedAt: performance.now(),
    client: '127.0.0.1',
    facts: {
      provider: { name: 'openai' },
      claim: { operation: 'chat.completions' },
      model: 'gpt-5',
      stream: true,
      usage: { input: 12, output: 30, cacheRead: 0, cacheWrite: 0 },
    },
    upstream: { name: 'openai' },
    attempt: 1,
    sent: 1024,
    error: null,
  } as unknown as LiveExchange
}

const on = openLog({ level: 'info', destination: '/dev/null' })
const off = openLog({ level: 'error', destination: '/dev/null' })
const written = exchange(on)
const unwritten = exchange(off)
const fields = {
  exchange: written.id,
  method: 'POST',
  path: written.path,
  status: 200,
  ms: 812.1,
  client: '127.0.0.1',
  provider: 'openai',
  operation: 'chat.completions',
  model: 'gpt-5',
  stream: true,
  upstream: 'openai',
  attempts: 1,
  bytes_out: 1024,
  usage: { input: 12, output: 30, cacheRead: 0, cacheWrite: 0 },
}
const head = { level: 'info', time: '2026-01-01T00:00:00.000Z', instance: '9b2f0a1c' }
const line = `${JSON.stringify({ ...head, ...fields, msg: 'exchange' })}\n`

await bench(
  'the line of an exchange',
  {
    'level off: nothing is made': () => logExchange(unwritten),
    'level off, made for nothing': () => off.info({ ...fields, ms: Math.round(performance.now()) }, 'exchange'),
    'level on': () => logExchange(written),
    'its redaction alone': () => redactLine(line),
    'a child logger per exchange': () => on.child({ exchange: written.id }).info({ status: 200 }, 'exchange'),
  },
  { 'level off, made for nothing': { atLeast: 1 } },
)
