/** Every case of the tables of handshakes: requests against all three kinds of WebSocket, answers behind a session. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { handshakeAnswers } from './handshake-answers.ts'
import { target } from './handshake-case.ts'
import { handshakeCases } from './handshake-cases.ts'
import { handshakeGateway } from './handshake-rivals.ts'
import { playHandshake, playUpgrade } from './handshake-runner.ts'
import { countingUpstream, sayingUpstream } from './handshake-upstream.ts'
import { portOf } from './http-gateway.ts'

describe('the tables of handshakes', () => {
  test('have more than forty requests and twenty answers, each with a name of its own', () => {
    const named = (subjects: Readonly<Record<string, readonly { readonly name: string }[]>>) =>
      Object.entries(subjects).flatMap(([subject, cases]) => cases.map(({ name }) => `${subject}: ${name}`))
    for (const [names, least] of [
      [named(handshakeCases), 40],
      [named(handshakeAnswers), 20],
    ] as const) {
      assert.ok(names.length >= least, `${names.length}`)
      assert.equal(new Set(names).size, names.length)
    }
  })

  for (const path of [target, '/v1/responses', '/v1/listen'] as const) {
    for (const compressed of path === '/v1/responses' ? [false, true] : [false]) {
      test(`are met by requests for ${path}${compressed ? ', where compression is on' : ''}`, async (t) => {
        await using upstream = await countingUpstream()
        await using gw = await handshakeGateway(upstream.port, { websocket: { compress_clients: compressed } })
        for (const one of Object.values(handshakeCases).flat()) {
          await t.test(one.name, async () => {
            assert.deepEqual((await playHandshake(portOf(gw), upstream, one, path)).differences, [])
          })
        }
        const errors = gw.records.filter(({ level }) => level === 'error').map(({ message }) => message)
        assert.deepEqual(errors, [])
      })
    }
  }

  for (const compressed of [false, true]) {
    test(`are met by answers to a session${compressed ? ' that offers compression' : ''}`, async (t) => {
      await using upstream = await sayingUpstream()
      await using gw = await handshakeGateway(upstream.port, { websocket: { compress_upstreams: compressed } })
      for (const one of Object.values(handshakeAnswers).flat()) {
        // The offer has been made then.
        if (compressed && one.name.startsWith('the extension permessage-deflate,')) continue
        await t.test(one.name, async () => {
          assert.deepEqual((await playUpgrade(portOf(gw), upstream, one)).differences, [])
        })
      }
    })
  }

  test('are met by a 101 in a tunnel that is no switch', async (t) => {
    await using upstream = await sayingUpstream()
    await using gw = await handshakeGateway(upstream.port)
    const cases = handshakeAnswers['The 101']!.filter(({ name }) =>
      /^with(?:out Upgrade|out Connection| Connection)/.test(name),
    )
    assert.equal(cases.length, 3)
    for (const one of cases) {
      await t.test(one.name, async () => {
        assert.deepEqual((await playUpgrade(portOf(gw), upstream, one, '/v1/listen')).differences, [])
      })
    }
  })
})
