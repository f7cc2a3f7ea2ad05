/** Every case of the table of requests, against a running gateway with a strict upstream behind it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Forwarded, HttpCase, Outcome } from './http-case.ts'
import { httpCases } from './http-cases.ts'
import { portOf, wireGateway } from './http-gateway.ts'
import { playCase } from './http-runner.ts'
import { recordingUpstream } from './http-upstream.ts'

describe('the table of requests', () => {
  test('has more than two hundred cases, and each has a name of its own', () => {
    const names = Object.values(httpCases).flatMap((cases) => cases.map(({ name }) => name))
    assert.ok(names.length >= 200, `${names.length}`)
    assert.deepEqual(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
    )
  })

  for (const [subject, cases] of Object.entries(httpCases)) {
    test(`is met: ${subject}`, async (t) => {
      await using upstream = await recordingUpstream()
      await using gw = await wireGateway(upstream.url)
      for (const one of cases.flatMap((it) => [it, ...streamed(it)])) {
        await t.test(one.name, { todo: one.todo ?? false }, async () => {
          const { differences } = await playCase(portOf(gw), upstream, one)
          assert.deepEqual(differences, [])
        })
      }
    })
  }
})

/** The same case with a body that the gateway passes on as it comes, where it would hold JSON. */
function streamed(one: HttpCase): HttpCase[] {
  const [first] = one.send
  if (typeof first !== 'string' || !first.startsWith('POST') || !first.includes('host: gate\r\n')) return []
  const type = 'content-type: text/plain'
  return [
    {
      ...one,
      name: `${one.name}, streamed`,
      send: [first.replace('host: gate\r\n', `host: gate\r\n${type}\r\n`), ...one.send.slice(1)],
      expect: one.expect.map((outcome, at) => (at > 0 ? outcome : withHeader(outcome, type))),
    },
  ]
}

function withHeader(outcome: Outcome, header: string): Outcome {
  const more = (sent: Forwarded): Forwarded => ({ ...sent, headers: [header, ...sent.headers] })
  if ('forwarded' in outcome) return { forwarded: more(outcome.forwarded) }
  return 'left' in outcome ? { left: more(outcome.left) } : outcome
}
