/** Our parser of answers beside Node's own, on the same bytes. `POSTERN_RUNS=50` makes a million cases of it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { runs } from '../../test/runs.ts'
import type { Headers } from '../plugin.ts'
import {
  randomOf,
  readNodes,
  readOurs,
  someAnswer,
  someCuts,
  withoutRest,
  type Answer,
  type Reading,
} from './http1-fuzz.fixture.ts'

const cases = runs(20_000).numRuns
const atOnce = 250

/** What we refuse or break off though llhttp takes it, by our own reason; why each is meant stands beside it. */
const stricter: ReadonlySet<string> = new Set([
  // The gateway refuses other codings behind llhttp too, see `answerHeaders`.
  'an unknown transfer coding',
  // llhttp skips empty lines before an answer, as a server may before a request (RFC 9112 §2.2); a client has no reason to.
  'this is no HTTP/1',
  // An extension whose value or name is missing, `;a=` or `;;a`.
  'a chunk extension is none',
  // A status below 100.
  'the status line is none',
  // What frames a message may not come behind it (RFC 9110 §6.5.1).
  'a trailer that frames',
  // 101 without Upgrade is an informational answer for llhttp, and for undici an error.
  'a switch of protocols that nobody asked for',
])

describe('an answer of any bytes', () => {
  const seed = Number(process.env.POSTERN_SEED ?? 1)

  test('is read the same, however it is cut into pieces', () => {
    const random = randomOf(seed)
    for (let count = 0; count < cases; count++) {
      const answer = someAnswer(random)
      const whole = readOurs(answer, [])
      const { length } = answer.bytes
      for (const cuts of [someCuts(length, random), someCuts(length, random), everywhere(length)])
        assert.deepEqual(settled(readOurs(answer, cuts)), settled(whole), `${shown(answer)} cut at ${cuts.join()}`)
    }
  })

  test('that counts as whole is whole for Node, with the same status, headers and body', async (t) => {
    const random = randomOf(seed + 1)
    const told = new Map<string, number>()
    const strange: string[] = []
    let agreed = 0
    for (let count = 0; count < cases; count += atOnce) {
      const answers = Array.from({ length: atOnce }, () => withoutRest(someAnswer(random)))
      const reading = answers.map(readNodes)
      for (let turns = 0; turns < 3; turns++) await turn()
      for (const [at, answer] of answers.entries()) {
        const verdict = compared(readOurs(answer, []), reading[at]!())
        if (verdict === null) agreed++
        else told.set(verdict, (told.get(verdict) ?? 0) + 1)
        if (verdict !== null && !stricter.has(verdict)) strange.push(`${verdict}: ${shown(answer)}`)
      }
    }
    t.diagnostic(`${agreed} of ${cases} read alike; stricter: ${JSON.stringify(Object.fromEntries(told))}`)
    assert.deepEqual(strange.slice(0, 20), [])
  })
})

/** Null where both say the same; else our reason for being stricter, or what we have let through. */
function compared(ours: Reading, nodes: Reading): string | null {
  const isWhole = ours.outcome === 'whole'
  if (isWhole !== (nodes.outcome === 'whole'))
    return isWhole ? `looser than ${nodes.why || nodes.outcome}` : ours.why || ours.outcome
  if (!isWhole) return null
  const { status, body, headers } = ours
  const isSame = status === nodes.status && body === nodes.body && equal(headers, nodes.headers)
  return isSame ? null : 'another answer'
}

/** The names and their values; parsers need not agree on the order of those that belong to different names. */
function equal(one: Headers, other: Headers): boolean {
  return isDeepStrictEqual(one, other)
}

/** Which of two faults is met first may depend on the cuts; that there is one may not. */
function settled({ why: _why, ...reading }: Reading): Omit<Reading, 'why'> {
  return reading
}

const everywhere = (length: number) => Array.from({ length }, (_, at) => at)
const shown = ({ method, ends, bytes }: Answer) =>
  `${method} ${JSON.stringify(bytes.toString('latin1'))} ${ends ? 'and the end' : ''}`
