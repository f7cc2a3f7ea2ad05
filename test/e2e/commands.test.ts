/** What the command line does for those who run gateways. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { commandRows, optionRows } from '../../core/commands/table.ts'
import { gateway } from '../harness.ts'
import { place } from './place.fixture.ts'

const two = `upstreams:
  - { name: a, provider: openai, key: "\${A}", priority: 1 }
  - { name: b, provider: openai, key: "\${B}", priority: 2 }
plugins:
  - openai
  - body-patch: { delete: [max_tokens] }
  - failover
`
const env = { A: 'key-of-upstream-a', B: 'key-of-upstream-b' }

describe('every command', () => {
  test('has its help, with its own options and no others', async () => {
    await using there = await place({})
    for (const [name, { says, options }] of Object.entries(commandRows)) {
      const { code, out } = await there.postern([name, '--help'])
      assert.equal(code, 0, name)
      assert.ok(out.startsWith(says), name)
      for (const option of Object.keys(optionRows))
        assert.equal(
          new RegExp(`--${option}\\b(?!-)`).test(out),
          options.some((known) => known === option),
          `${name} --${option}`,
        )
    }
  })

  test('refuses what it does not take', async () => {
    await using there = await place({})
    for (const words of [
      ['check', '--tenant', 'x'],
      ['diff', 'one', 'two'],
      ['new', 'plugin', 'x', 'y'],
      ['explain', 'it'],
    ]) {
      const { code, err } = await there.postern(words)
      assert.equal(code, 2, words.join(' '))
      assert.match(err, new RegExp(`Try: postern ${words[0]} --help`))
    }
  })
})

describe('postern check --json', () => {
  test('tells tools where, which, what, and what to do', async () => {
    await using there = await place({ 'gateway.yaml': 'limts: {}\nplugins: [opnai, ./none]\nkeys: [{ name: k }]\n' })
    const { code, out } = await there.postern(['check', '--json'])
    assert.equal(code, 1)
    const { problems } = JSON.parse(out) as { problems: Record<string, unknown>[] } // check.ts
    assert.deepEqual(
      problems.map(({ file, line, column, code: which }) => [file, line, column, which]),
      [
        ['gateway.yaml', 1, 1, 'CONFIG_UNKNOWN'],
        ['gateway.yaml', 2, 11, 'CONFIG_PLUGIN'],
        ['gateway.yaml', 2, 18, 'CONFIG_PLUGIN'],
        ['gateway.yaml', 3, 8, 'CONFIG_MISSING'],
      ],
    )
    for (const { message, remedy } of problems) assert.ok(typeof message === 'string' && remedy !== undefined)
  })
})

describe('postern try', () => {
  test('says who claims a request, what each plugin does, who would be asked and why, and sends nothing', async () => {
    await using there = await place({ 'gateway.yaml': two })
    const words = ['try', '/v1/chat/completions?x=1', '-d', '{"model":"m","max_tokens":3}', '-H', 'x-me: yes']
    const { code, out } = await there.postern(words, env)
    assert.equal(code, 0)
    assert.match(out, /^POST \/v1\/chat\/completions: claimed by openai as chat.completions, model m\n/)
    assert.match(out, /onBody +body-patch: edits the body/)
    assert.match(out, /rankUpstreams +failover: .*decision.*"reason"/)
    assert.match(
      out,
      /would be asked, best first: a, b\na would be sent: https:\/\/api.openai.com\/v1\/chat\/completions\?x=1/,
    )
    assert.match(out, /x-me: yes/)
    assert.match(out, /\{"model":"m"\}\n$/)
    assert.doesNotMatch(out, /key-of/)
  })

  test('says what a plugin answers itself, as JSON for tools', async () => {
    await using there = await place({ 'gateway.yaml': 'plugins: [{ ip-rules: { deny: [192.0.2.0/24] } }, openai]' })
    const { out } = await there.postern(['try', '/v1/models', '--client', '192.0.2.7', '--json'])
    const told = JSON.parse(out) as { answer: object; steps: object[]; sent: null } // try.ts
    assert.deepEqual(told.answer, { status: 403, code: 'ACCESS_DENIED', message: 'Access denied' })
    assert.deepEqual(told.steps, [
      { plugin: 'ip-rules', phase: 'onRequest', did: ['answers 403 ACCESS_DENIED: Access denied'] },
    ])
    assert.equal(told.sent, null)
    assert.match((await there.postern(['try', '/nowhere'])).out, /nobody claims it: 404/)
  })

  test('leaves no note of what never happened', async () => {
    const plugins = 'plugins: [{ ops-capture: { file: notes.jsonl } }, api-key-auth, openai]'
    await using there = await place({ 'gateway.yaml': `keys: [{ name: k, key: a-key-for-somebody }]\n${plugins}` })
    const { code, out, err } = await there.postern(['try', '/v1/models'])
    assert.equal(code, 0, err)
    assert.match(out, /answered here: 401/)
    assert.equal(await there.read('notes.jsonl').catch(() => ''), '')
  })

  test('reads a body from a file, and says what it cannot read', async () => {
    await using there = await place({ 'gateway.yaml': two, 'body.json': '{"model":"from-file"}' })
    assert.match((await there.postern(['try', '/v1/responses', '-d', '@body.json'], env)).out, /model from-file/)
    assert.equal((await there.postern(['try'])).code, 2)
    for (const [words, said] of [
      [['/v1/responses', '-d', '@none.json'], /none\.json/],
      [['/v1/responses', '-d', '{'], /JSON|body/],
      [['/a/../b'], /no path that a gateway passes on/],
      [['/v1/models', '-H', 'nothing'], /no header: write NAME:VALUE/],
    ] as const) {
      const { code, out, err } = await there.postern(['try', ...words], env)
      assert.equal(code, 1, words.join(' ') + out)
      assert.match(err, said)
      assert.doesNotMatch(err, /\n {4}at /)
    }
  })
})

describe('postern test', () => {
  const tests = `env: { A: key-a, B: key-b }
tests:
  - name: asks the next upstream where the first is limited
    request: { path: /v1/chat/completions, headers: { x-me: yes-me }, body: { model: m, max_tokens: 3 } }
    upstreams:
      a: { status: 429, headers: { retry-after: "3" } }
      b: { text: from b }
    expect:
      status: 200
      headers: { content-type: /json/, x-none: null }
      asked: [a, b]
      body: { choices.0.message.content: from b }
      sent:
        path: /v1/chat/completions
        headers: { authorization: Bearer key-b, x-me: yes-me }
        body: { model: m, max_tokens: null }
  - name: a stream that breaks off ends with an error
    request: { path: /v1/chat/completions, body: { model: m, stream: true } }
    upstreams: { a: { text: one two three, cut: 3 } }
    expect: { text: '"error"', asked: [a] }
  - name: answers in turn
    request: { method: GET, path: /v1/models }
    upstreams: { a: { status: 503 }, b: [{ status: 503 }, { body: { data: [] } }] }
    expect: { status: 200, asked: [a, b, b], body: { data: [] } }
`

  test('runs a file whose tests hold', async () => {
    await using there = await place({ 'gateway.yaml': two, 'gateway.test.yaml': tests })
    const { code, out } = await there.postern(['test'])
    assert.match(out, /^✔ asks the next .*\n✔ a stream that .*\n✔ answers in turn\n3 passed, 0 failed\n$/)
    assert.equal(code, 0)
  })

  test('says what failed as a difference, with its line, and exits with 1', async () => {
    const wrong = tests
      .replace('status: 200', 'status: 201')
      .replace('asked: [a, b]', 'asked: [b]')
      .replace('Bearer key-b', 'Bearer key-c')
      .replace('content: from b', 'content: from c')
    await using there = await place({ 'gateway.yaml': two, 'own.yaml': wrong })
    const { code, out } = await there.postern(['test', 'own.yaml'])
    assert.equal(code, 1)
    assert.match(out, /^✖ asks the next upstream/)
    assert.match(out, /own\.yaml:9:15 .*: the status\n {2}- 201\n {2}\+ 200\n/)
    assert.match(out, /own\.yaml:11:14 .*: who was asked\n {2}- \["b"\]\n {2}\+ \["a","b"\]\n/)
    assert.match(out, /own\.yaml:12:\d+ .*: choices\.0\.message\.content of the answer\n {2}- from c\n {2}\+ from b\n/)
    assert.match(out, /own\.yaml:15:\d+ .*: authorization of what was sent\n {2}- Bearer key-c\n {2}\+ Bearer key-b\n/)
    const told = JSON.parse((await there.postern(['test', 'own.yaml', '--json'])).out) as {
      ok: boolean
      tests: { passed: boolean }[]
      problems: { code: string }[]
    } // test.ts
    assert.deepEqual([told.ok, told.tests[0]?.passed, told.problems[0]?.code], [false, false, 'TEST_FAILED'])
  })

  test('says what is wrong with the files themselves', async () => {
    await using there = await place({
      'gateway.yaml': 'plugins: [openai, filover]',
      'gateway.test.yaml': 'tests:\n  - { name: n, request: { path: /x }, expect: { status: 404 } }\n',
      'typo.yaml':
        'tests:\n  - { name: n, reqest: { path: /x }, expect: { status: 404 }, upstreams: { a: { staus: 1 } } }\n',
    })
    assert.match((await there.postern(['test'])).out, /gateway\.yaml:1:\d+ .*"failover"\?/)
    const typo = await there.postern(['test', 'typo.yaml'])
    assert.equal(typo.code, 1)
    assert.match(typo.out, /typo\.yaml:2:\d+ .*"reqest"/)
    assert.match((await there.postern(['test', 'none.yaml'])).out, /none\.yaml:1:1 this file cannot be read/)
    await there.write('gateway.yaml', 'plugins: [openai]')
    await there.write(
      'strange.yaml',
      'tests:\n  - { name: n, request: { path: /x }, expect: { status: 404 }, upstreams: { z: {} } }\n',
    )
    assert.match((await there.postern(['test', 'strange.yaml'])).out, /no upstream "z"/)
  })
})

describe('postern diff', () => {
  const next = two
    .replace('priority: 2', 'priority: 9')
    .replace('  - openai\n', '')
    .replace('  - failover\n', '  - openai\n  - usage\n')

  test('of two files says what was added, removed, moved and changed, and what needs a restart', async () => {
    const moved = `listen: 127.0.0.1:1\nlimits: { body: 1MiB }\n${two.replace('  - openai\n', '').replace('- failover', '- failover: { attempts: 7 }\n  - openai\n  - ip-rules')}`
    await using there = await place({ 'old.yaml': two, 'gateway.yaml': moved.replace('priority: 2', 'priority: 9') })
    const { code, out } = await there.postern(['diff', 'old.yaml'], env)
    assert.equal(code, 1)
    assert.match(out, /^~ listen: "127.0.0.1:8787" → "127.0.0.1:1"$/m)
    assert.match(out, /^~ limits.body: \d+ → 1048576$/m)
    assert.match(out, /^~ upstreams.b.priority: 2 → 9$/m)
    assert.match(out, /^\+ plugins.ip-rules$/m)
    assert.match(out, /^~ plugins.failover.attempts: \d+ → 7$/m)
    assert.match(out, /^↕ plugins.openai: place 1 → 3$/m)
    assert.match(out, /^takes effect at the next start: listen$/m)
    assert.doesNotMatch(out, /key-of/)
    assert.equal((await there.postern(['diff', 'gateway.yaml'], env)).code, 0)
  })

  test('of the running gateway asks its admin listener', async () => {
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'a', provider: 'openai', key: 'key-of-upstream-a' }],
    })
    await using there = await place({ 'gateway.yaml': 'limits: { lag: 10m }\nplugins: [openai]', 'bad.yaml': next })
    const { code, out } = await there.postern(['diff', '--admin', gw.adminUrl, '--json'])
    const told = JSON.parse(out) as { differences: { kind: string; path: string }[]; restart: string[] } // diff.ts
    assert.equal(code, 1)
    assert.deepEqual(
      told.differences.filter(({ path }) => !/^(listen|admin)/.test(path)),
      [
        { kind: 'removed', path: 'upstreams.a' },
        { kind: 'removed', path: 'plugins.failover' },
      ],
    )
    assert.deepEqual(told.restart, ['listen', 'admin.listen'])
    const nobody = await there.postern(['diff', '--admin', 'http://127.0.0.1:9'])
    assert.equal(nobody.code, 2)
    assert.match(nobody.err, /no gateway answers at http:\/\/127.0.0.1:9.*--admin URL/)
    assert.equal((await there.postern(['diff', '-c', 'bad.yaml'])).code, 2, 'a file with problems has no difference')
  })
})
