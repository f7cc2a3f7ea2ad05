/** What the console costs an exchange: its notes, and what they cost while a page is open, against a snapshot of everything. */
import type { Exchange, Hooks, Result, Upstream } from 'postern/plugin'
import { redactHeaders, redactText, redactUrl } from 'postern/plugin'
import { bench } from '../../test/bench.ts'
import { openRoom } from './room.ts'
import type { Asked } from './notes.ts'

const upstreams = Array.from({ length: 8 }, (_, at) => ({ name: `upstream-${at}`, provider: 'openai' }) as Upstream) // all that is looked at
const result = { kind: 'response', status: 200, headers: {}, judgement: 'final', ms: 12, body: null } as Result
const principal = { id: 'somebody', name: 'somebody' }
const usage = { input: 12, output: 30, cacheRead: 0, cacheWrite: 0 }
let count = 0

/** All that the hooks look at. */
function exchange(): Asked {
  return {
    id: `exchange-${count++}`,
    kind: 'http',
    method: 'POST',
    path: '/v1/chat/completions',
    client: '127.0.0.1',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-0123456789abcdefghijklmn', accept: '*/*' },
    facts: {
      provider: { name: 'openai' },
      claim: { operation: 'chat.completions' },
      model: 'gpt-5',
      stream: false,
      principal,
      session: 'somebody:openai:0123456789abcdef',
      pin: null,
      usage,
      decision: null,
      slots: null,
      console_notes: null,
    },
    upstream: upstreams[0],
    passedOver: [],
    said: [],
    answeredBy: null,
    checkedAt: performance.now(),
    readAt: performance.now(),
    informedAt: performance.now(),
    failures: [],
    status: 200,
    error: null,
  } as unknown as Asked
}

/** The hooks of index.ts, one after the other. */
function walk({ trail, health, uses }: ReturnType<typeof openRoom>): void {
  const one = exchange()
  trail.notesOf(one)
  trail.ranked(one, upstreams)
  trail.chosen(one)
  trail.told(one, result)
  health.note(one, result)
  trail.answered(one, false)
  uses.add(trail.ended(one))
}

const quiet = openRoom(1000)
const watched = openRoom(1000)
watched.trail.changed = (() => {
  const changed = new Map<number, object>()
  return (one) => {
    changed.delete(one.number)
    changed.set(one.number, one)
    if (changed.size > 200) changed.delete(changed.keys().next().value!)
  }
})()

const kept: string[] = []
/** The naive way: everything is redacted and written down as JSON, whether or not anybody will look. */
function snapshot(): void {
  const one = exchange() as Exchange
  const text = JSON.stringify({
    at: new Date().toISOString(),
    id: redactText(one.id),
    path: redactUrl(one.path),
    headers: redactHeaders(one.headers),
    facts: { ...one.facts, principal: redactText('somebody') },
    attempts: [
      { upstream: one.upstream?.name, candidates: upstreams.map(({ name }) => name), status: 200, ms: result.ms },
    ],
    status: one.status,
  })
  kept.push(text)
  if (kept.length > 1000) kept.shift()
}

const nothing: Hooks = {}
await bench(
  'the notes of one exchange',
  {
    'the exchange alone': () => [exchange(), nothing],
    'with its notes': () => walk(quiet),
    'while a page is open': () => walk(watched),
    'a redacted snapshot of each': snapshot,
  },
  { 'with its notes': { atMost: 4 }, 'a redacted snapshot of each': { atLeast: 10 } },
)
