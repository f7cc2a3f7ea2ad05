import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { elementsOf } from './elements.ts'
import { probe } from './probe.fixture.ts'
import {
  askEach,
  namingGateway,
  type Row,
  claude,
  responses,
  chat,
  gemini,
  user,
  assistant,
  part,
  ephemeral,
} from './rows.fixture.ts'

/** What each row's session is called; null where it has none. */
async function sessionsOf(rows: readonly Row[]): Promise<(string | null)[]> {
  await using upstream = await fakeUpstream(json(200, {}))
  const around = probe()
  await using gw = await gateway(namingGateway(around, upstream.url))
  return await askEach(gw.url, around, rows)
}

describe('the opening of a conversation', () => {
  const image = { type: 'image', source: { type: 'base64', data: 'AAAA' } }
  const same: readonly [what: string, one: Row, other: Row][] = [
    [
      'stays when turns are added (Anthropic)',
      claude({ system: 's', messages: [user('x')] }),
      claude({ system: 's', messages: [user('x'), assistant('y'), user('z')] }),
    ],
    [
      'stays when the mark of the cache moves on',
      claude({ messages: [user([{ type: 'text', text: 'x', ...ephemeral }])] }),
      claude({ messages: [user('x'), assistant('y'), user([{ type: 'text', text: 'z', ...ephemeral }])] }),
    ],
    [
      'stays when only the part of the system changes that is not cached',
      claude({ system: [part('Monday'), { ...part('rules'), ...ephemeral }], messages: [user('x')] }),
      claude({ system: [part('Tuesday'), { ...part('rules'), ...ephemeral }], messages: [user('x')] }),
    ],
    [
      'stays with an image whose mark moves on',
      claude({ messages: [user([{ ...image, ...ephemeral }])] }),
      claude({ messages: [user([image]), assistant('y'), user('z')] }),
    ],
    [
      'of a pasted document does not depend on how it is spelt',
      chat({ messages: [{ role: 'system', content: 's' }, user('x'.repeat(100_000))] }),
      chat({
        messages: [
          { role: 'system', content: 's' },
          user([{ type: 'text', text: 'x'.repeat(100_000) }]),
          assistant('y'),
        ],
      }),
    ],
    [
      'of a pasted document is its beginning and its length',
      chat({ messages: [user(`${'x'.repeat(70_000)}one`)] }),
      chat({ messages: [user([{ type: 'text', text: `${'x'.repeat(70_000)}two` }])] }),
    ],
    [
      'does not depend on the order of the members',
      { path: '/claude/v1/messages', body: { messages: [user('x')], max_tokens: 1, system: 's' } },
      { path: '/claude/v1/messages', body: { system: 's', tools: [{ name: '"messages":[{' }], messages: [user('x')] } },
    ],
    [
      'stays when turns are added (chat)',
      chat({ messages: [{ role: 'system', content: 's' }, user('x')] }),
      chat({ messages: [{ role: 'system', content: 's' }, user('x'), assistant('y'), user('z')] }),
    ],
    [
      'stays when items are added (responses)',
      responses({ instructions: 'i', input: [user('x')] }),
      responses({
        instructions: 'i',
        input: [user([{ type: 'input_text', text: 'x' }]), { type: 'reasoning' }, user('z')],
      }),
    ],
    ['is a text or a list that says the same', responses({ input: 'x' }), responses({ input: [user('x'), user('y')] })],
    [
      'stays when turns are added (Gemini)',
      gemini({ contents: [{ role: 'user', parts: [part('x')] }], systemInstruction: { parts: [part('s')] } }),
      gemini({
        system_instruction: { parts: [part('s')] },
        contents: [
          { role: 'user', parts: [part('x')] },
          { role: 'model', parts: [part('y')] },
        ],
      }),
    ],
  ]
  const different: readonly [what: string, one: Row, other: Row][] = [
    ['another first message', claude({ messages: [user('x')] }), claude({ messages: [user('z'), user('x')] })],
    ['another system', claude({ system: 's', messages: [user('x')] }), claude({ system: 't', messages: [user('x')] })],
    [
      'the border between texts',
      claude({ system: 'ab', messages: [user('c')] }),
      claude({ system: 'a', messages: [user('bc')] }),
    ],
    [
      'another image',
      claude({ messages: [user([image])] }),
      claude({ messages: [user([{ type: 'image', source: { data: 'BBBB' } }])] }),
    ],
    [
      'another end of a long text',
      chat({ messages: [user('x'.repeat(70_000))] }),
      chat({ messages: [user('x'.repeat(70_001))] }),
    ],
    ['other instructions', responses({ instructions: 'i', input: 'x' }), responses({ instructions: 'j', input: 'x' })],
    ['another API', chat({ messages: [user('x')] }), gemini({ contents: [{ parts: [part('x')] }] })],
  ]
  test('names every turn alike: each pair below', async () => {
    const told = await sessionsOf(same.flatMap(([, one, other]) => [one, other]))
    for (const [at, [what]] of same.entries()) {
      assert.ok(told[at * 2], what)
      assert.equal(told[at * 2], told[at * 2 + 1], what)
    }
  })

  test('tells conversations apart by: each pair below', async () => {
    const told = await sessionsOf(different.flatMap(([, one, other]) => [one, other]))
    for (const [at, [what]] of different.entries()) assert.notEqual(told[at * 2], told[at * 2 + 1], what)
  })
})

describe('the elements of a list in a body', () => {
  const list = (text: string, field = 'messages') => [...elementsOf(Buffer.from(text), field)].map(String)

  test('are what JSON.parse finds there, wherever it stands and however it is spelt', () => {
    const members = fc.array(fc.tuple(fc.string(), fc.jsonValue()), { maxLength: 4 })
    fc.assert(
      fc.property(
        members,
        fc.array(fc.jsonValue()),
        members,
        fc.constantFrom(0, 1, '\t'),
        (before, messages, after, space) => {
          const others = [...before, ...after].filter(([name]) => name !== 'messages')
          const body = Object.fromEntries([...others.slice(0, before.length), ['messages', messages], ...others])
          const spelt = JSON.stringify(body, null, space)
          const expected = (JSON.parse(spelt) as { messages: unknown[] }).messages // put in above
          assert.deepEqual(
            list(spelt).map((element) => JSON.parse(element) as unknown),
            expected,
          )
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('are none where there is no such list', () => {
    for (const text of [
      '',
      ' ',
      '{}',
      '[]',
      '[{"messages":[1]}]',
      '{"messages":{}}',
      '{"messages":"[1]"}',
      '{"messages":[]}',
    ])
      assert.deepEqual(list(text), [], text)
    assert.deepEqual(list('{"other":{"messages":[1]}}'), [])
    assert.deepEqual(list('{"other":"\\"messages\\":[1]"}'), [])
  })

  test('end, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.string(), (noise) => {
        for (const text of [noise, `{"messages":${noise}`, `{"messages":[${noise}`, `{${noise}"messages":[`])
          assert.ok(list(text).length <= text.length)
      }),
      { numRuns: 2000 },
    )
  })

  test('are read no further than they are asked for', () => {
    const bytes = Buffer.from('{"messages":[{"role":"user"}, and here it is no JSON any more')
    const [first] = elementsOf(bytes, 'messages')
    assert.equal(String(first), '{"role":"user"}')
  })
})
