/** All that clients do to a gateway, in turns drawn at random, and what may become of each. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Outcome } from './client.ts'
import { hostileRequests, provoke } from './hostile.ts'
import type { Fault, Question } from './question.ts'
import { keys } from './settings.ts'
import { converse } from './turns.ts'

export interface Mix {
  readonly url: string
  readonly port: number
  readonly random: () => number
  /** Hears of each exchange when it has ended. `kind` is what was done. */
  readonly onOutcome: (kind: string, outcome: Outcome) => void
  readonly onHostile: (problem: string | null) => void
}

/** How often each is done, relative to the others. */
const weights = {
  JSON: 30,
  'short stream': 25,
  'long stream': 3,
  turn: 8,
  upload: 4,
  abort: 10,
  fault: 12,
  hostile: 8,
} as const
type Kind = keyof typeof weights

const faults: readonly Fault[] = ['reset', 'busy', 'limited', 'nonsense', 'cut', 'torn', 'told']

/** One client after the other does what it does, until `isOver`. */
export async function mixLoad(mix: Mix, clients: number, isOver: () => boolean): Promise<void> {
  let count = 0
  const kinds = Object.entries(weights).flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind as Kind)) // its keys
  const client = async () => {
    while (!isOver()) {
      const kind = kinds[Math.floor(mix.random() * kinds.length)]!
      await act(mix, kind, () => `k${count++}`)
      await sleep(mix.random() * 30)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
}

async function act(mix: Mix, kind: Kind, nextId: () => string): Promise<void> {
  const { random, url, port } = mix
  const key = keys[Math.floor(random() * keys.length)]!
  if (kind === 'hostile') {
    const requests = hostileRequests(key)
    return mix.onHostile(await provoke(port, requests[Math.floor(random() * requests.length)]!))
  }
  const draw = (more: Partial<Question>) => questionOf(nextId(), random, more)
  if (kind === 'turn') {
    const questions = Array.from({ length: 1 + Math.floor(random() * 4) }, () => draw({ api: 'turn', stream: true }))
    for (const outcome of await converse(url, key, questions)) mix.onOutcome(kind, outcome)
    return
  }
  const padding = Math.floor(random() ** 4 * 200_000)
  const acts: Readonly<Record<Exclude<Kind, 'turn' | 'hostile'>, () => Promise<Outcome>>> = {
    JSON: () => ask(url, draw({ api: pick(random, ['chat', 'messages', 'gemini']), stream: false }), { key, padding }),
    'short stream': () => ask(url, draw({ stream: true }), { key, padding }),
    'long stream': () => ask(url, draw({ stream: true, pieces: 100, pause: 100 }), { key }),
    upload: () => ask(url, draw({ api: 'upload', stream: false }), { key, padding: 100_000 + padding * 10 }),
    abort: () => ask(url, draw({ pieces: 30, pause: 15 }), { key, padding, patience: random() * 500 }),
    fault: () => ask(url, draw({ model: 'moody', fault: pick(random, faults) }), { key }),
  }
  mix.onOutcome(kind, await acts[kind]())
}

/** A question that is answered soon and well, but for what is said otherwise. */
export function questionOf(id: string, random: () => number, more: Partial<Question> = {}): Question {
  return {
    id,
    api: pick(random, ['chat', 'messages']),
    stream: random() < 0.7,
    model: 'well',
    pieces: 1 + Math.floor(random() * 10),
    pause: Math.floor(random() * 10),
    size: Math.floor(random() ** 3 * 2000),
    input: 1 + Math.floor(random() * 1000),
    output: 2 + Math.floor(random() * 500),
    fault: null,
    ...more,
  }
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]! // it is not empty
}

/**
 * Null where this is what was to be expected; else what is wrong. What clients ask of the upstream that is well has to come whole, whatever
 * store and database do.
 */
export function unexpected(kind: string, { end, question, status, code, wrong, text }: Outcome): string | null {
  if (end === 'whole' || (end === 'left' && kind === 'abort')) return null
  // A fault may be told, or cut the answer short, or lead to a refusal; never to something that was not sent.
  if (question.fault !== null && ['refused', 'cut', 'broken off'].includes(end)) return null
  return `${kind} ${question.id} (${question.api}) ended ${end}, status ${status} ${code}: ${wrong ?? ''} ${JSON.stringify(text.slice(-300))}`
}
