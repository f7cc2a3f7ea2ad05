import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { longHash, shortHash } from './keys.ts'
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
} from './rows.fixture.ts'

/** What each row's session is called; null where it has none. */
async function sessionsOf(rows: readonly Row[], options: object = {}): Promise<(string | null)[]> {
  await using upstream = await fakeUpstream(json(200, {}))
  const around = probe()
  await using gw = await gateway(namingGateway(around, upstream.url, options))
  return await askEach(gw.url, around, rows)
}

const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e'
const folder = 'a'.repeat(64)

describe('a session is named by', () => {
  const cliText = `the temporary directory is /srv/x/.gemini/tmp/${folder}`
  const rows: readonly [what: string, row: Row, name: string | null][] = [
    [
      'the uuid in metadata.user_id',
      claude({ metadata: { user_id: `user_1_account__session_${uuid}` } }),
      shortHash(uuid),
    ],
    [
      'the session_id of a user_id that is JSON',
      claude({ metadata: { user_id: JSON.stringify({ device_id: 'd', session_id: uuid }) } }),
      shortHash(uuid),
    ],
    [
      'metadata before all that is said',
      claude({ metadata: { user_id: `session_${uuid}` }, system: 's', messages: [user('hello')] }),
      shortHash(uuid),
    ],
    ['nothing where a user_id names no session', claude({ metadata: { user_id: 'user_1' } }), null],
    ['nothing where a user_id is no text', claude({ metadata: { user_id: 7 } }), null],
    ['nothing where nothing is said', claude({ messages: [] }), null],
    ['nothing where only the system speaks', claude({ system: 's', messages: [assistant('hello')] }), null],
    ['nothing where messages are none', claude({ messages: 'hello' }), null],
    [
      'nothing where tokens are counted',
      { path: '/claude/v1/messages/count_tokens', body: { messages: [user('x')] } },
      null,
    ],
    ['the header session_id', responses({}, { session_id: 's1' }), `openai:${shortHash('s1')}`],
    ['the header without the space around it', responses({}, { session_id: '  s1 ' }), `openai:${shortHash('s1')}`],
    ['the header conversation_id', responses({}, { conversation_id: 'c1' }), `openai:${shortHash('c1')}`],
    [
      'session_id before conversation_id',
      responses({}, { conversation_id: 'c1', session_id: 's1' }),
      `openai:${shortHash('s1')}`,
    ],
    [
      'conversation_id before prompt_cache_key',
      responses({ prompt_cache_key: 'p1' }, { conversation_id: 'c1' }),
      `openai:${shortHash('c1')}`,
    ],
    ['prompt_cache_key', responses({ prompt_cache_key: 'p1' }), `openai:${shortHash('p1')}`],
    ['prompt_cache_key, trimmed', responses({ prompt_cache_key: '\tp1\n' }), `openai:${shortHash('p1')}`],
    [
      'prompt_cache_key before what is said',
      responses({ prompt_cache_key: 'p1', instructions: 'i', input: 'x' }),
      `openai:${shortHash('p1')}`,
    ],
    [
      'prompt_cache_key before previous_response_id',
      responses({ prompt_cache_key: 'p1', previous_response_id: 'resp_1' }),
      `openai:${shortHash('p1')}`,
    ],
    ['previous_response_id', responses({ previous_response_id: 'resp_1' }), `openai:response:${shortHash('resp_1')}`],
    [
      'previous_response_id before what is new in this turn',
      responses({ previous_response_id: 'resp_1', input: 'more' }),
      `openai:response:${shortHash('resp_1')}`,
    ],
    ['a conversation', responses({ conversation: 'conv_1' }), `openai:conversation:${shortHash('conv_1')}`],
    [
      'a conversation by its id',
      responses({ conversation: { id: 'conv_1' } }),
      `openai:conversation:${shortHash('conv_1')}`,
    ],
    [
      'the response that a path names',
      { path: '/compatible/v1/responses/resp_9/cancel', body: {} },
      `openai:response:${shortHash('resp_9')}`,
    ],
    ['nothing where an id is only space', responses({ prompt_cache_key: '  ' }, { session_id: ' ' }), null],
    ['nothing where the input is empty', responses({ input: '' }), null],
    ['nothing where the input is a list of outputs', responses({ input: [{ type: 'function_call_output' }] }), null],
    ['the header of a chat', chat({ messages: [user('x')] }, { session_id: 's1' }), `openai:${shortHash('s1')}`],
    ['prompt_cache_key of a chat', chat({ prompt_cache_key: 'p1' }), `openai:${shortHash('p1')}`],
    ['nothing where a chat is empty', chat({ messages: [] }), null],
    ['nothing where texts become vectors', { path: '/compatible/v1/embeddings', body: { input: 'x' } }, null],
    [
      'the header of a completion',
      { path: '/compatible/v1/completions', headers: { session_id: 's1' }, body: { prompt: 'x' } },
      `openai:${shortHash('s1')}`,
    ],
    ['the folder of Gemini CLI', gemini({ contents: [{ parts: [part(cliText)] }] }), `gemini:${shortHash(folder)}`],
    [
      'the folder and the user of Gemini CLI',
      gemini({ contents: [{ parts: [part(cliText)] }] }, { 'x-gemini-api-privileged-user-id': 'u1' }),
      `gemini:${shortHash(`u1:${folder}`)}`,
    ],
    [
      'the folder of Gemini CLI on Windows',
      gemini({ contents: [{ parts: [part(`C:\\Users\\x\\.gemini\\tmp\\${folder}\\x`)] }] }),
      `gemini:${shortHash(folder)}`,
    ],
    [
      'the folder in a streamed request',
      {
        path: '/google/v1beta/models/m:streamGenerateContent?alt=sse',
        body: { systemInstruction: { parts: [part(cliText)] }, contents: [] },
      },
      `gemini:${shortHash(folder)}`,
    ],
    [
      'a cached content',
      gemini({ cachedContent: 'cachedContents/c1', contents: [{ parts: [part('x')] }] }),
      `gemini:${shortHash('cached\0cachedContents/c1')}`,
    ],
    ['nothing where Gemini is told nothing', gemini({ contents: [] }), null],
    [
      'nothing where Gemini counts tokens',
      { path: '/google/v1beta/models/m:countTokens', body: { contents: [{ parts: [part('x')] }] } },
      null,
    ],
  ]
  test('what its API has for it: each row below', async () => {
    const told = await sessionsOf(rows.map(([, row]) => row))
    for (const [at, [what, , name]] of rows.entries()) assert.equal(told[at], name, what)
  })

  test('sources of the operator first, in their order', async () => {
    const own: readonly Row[] = [
      responses({ user: 'u1' }, { 'x-chat': 'h1', session_id: 's1' }),
      responses({ user: 'u1' }, { session_id: 's1' }),
      responses({}, { session_id: 's1' }),
      { path: '/claude/v1/messages', headers: { 'X-Chat': '7' }, body: {} },
      { path: '/compatible/v1/embeddings', body: { user: 12 } },
    ]
    const told = await sessionsOf(own, { sources: ['header:X-Chat', 'body:user'] })
    assert.deepEqual(told, [
      shortHash('h1'),
      shortHash('u1'),
      `openai:${shortHash('s1')}`,
      shortHash('7'),
      shortHash('12'),
    ])
  })

  test('nothing that is said, where it shall not be', async () => {
    const said = [claude({ messages: [user('x')] }), chat({ messages: [user('x')] }), responses({ input: 'x' })]
    const none = [...said, gemini({ contents: [{ parts: [part('x')] }] })]
    assert.deepEqual(await sessionsOf(none, { from_content: false }), [null, null, null, null])
  })
})

describe('a hash', () => {
  test('is XXH64 and SHA-256 as everybody computes them', () => {
    // Reference values: github.com/Cyan4973/xxHash, and FIPS 180-4.
    assert.equal(shortHash(''), 'ef46db3751d8e999')
    assert.equal(shortHash('a'), 'd24ec4f1a98c6e5b')
    assert.equal(longHash('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  test('has all of its digits', () => {
    const hashes = Array.from({ length: 2000 }, (_, at) => shortHash(String(at)))
    assert.ok(hashes.every((hash) => /^[0-9a-f]{16}$/.test(hash)))
    assert.ok(hashes.some((hash) => hash.startsWith('0')))
  })
})
