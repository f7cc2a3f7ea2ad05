/** The table of answers as tests: each case with the answer passed on as it comes, and with it held until it is known to be one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { gateway } from '../harness.ts'
import { portOf, wire } from './http-gateway.ts'
import type { UpstreamCase } from './upstream-case.ts'
import { hostileUpstream, playAnswer } from './upstream-runner.ts'

/** Where somebody looks at results, the start of an answer is held, and an error's body is decoded. */
const watching = definePlugin({
  name: 'watching',
  config: { type: 'object', properties: {} },
  setup: () => ({ onUpstreamResult() {} }),
})

const timeouts = { headers: '300ms', idle: '300ms', connect: '1s' }

/** Registers a test for each subject and for both ways in which an answer is passed on, by both clients. */
export function testAnswers(subjects: Readonly<Record<string, readonly UpstreamCase[]>>): void {
  for (const [how, plugins, transport] of [
    ['passed on as it comes', [wire], 'lean'],
    ['held until it is known to be one', [wire, watching], 'lean'],
    ['passed on as it comes', [wire], 'undici'],
    ['held until it is known to be one', [wire, watching], 'undici'],
  ] as const) {
    for (const [subject, cases] of Object.entries(subjects)) {
      void test(`is met by an answer that is ${how}, with transport ${transport}: ${subject}`, async (t) => {
        await using upstream = await hostileUpstream()
        await using gw = await gateway({
          plugins: [...plugins],
          upstreams: [{ name: 'one', provider: 'wire', url: upstream.url }],
          timeouts,
          transport,
        })
        for (const one of cases) {
          await t.test(one.name, { todo: one.todo ?? false }, async () => {
            assert.deepEqual(await playAnswer(portOf(gw), upstream, one), [])
          })
        }
        const errors = gw.records.filter(({ level }) => level === 'error').map(({ message }) => message)
        assert.deepEqual(errors, [])
      })
    }
  }
}
