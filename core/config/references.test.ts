import assert from 'node:assert/strict'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { loadConfig, type Config } from './load.ts'
import { optionsOf, parse, plugin, sound, source, sourceOf } from './load.fixture.ts'
import { render } from './problems.ts'

/** What a text in the configuration of a plugin comes to. */
async function valueOf(written: string, env: Record<string, string> = {}): Promise<unknown> {
  return (await optionsOf(`plugins:\n  - everything:\n      free: ${written}\n`, env))['free']
}

describe('references to the environment', () => {
  const env = {
    HOST: 'example.com',
    PORT: '8080',
    ON: 'true',
    NONE: '',
    LIST: '[1, 2]',
    HASH: 'a # b',
    MORE: '0x1F',
    NULL: 'null',
  }
  const rows: readonly (readonly [string, unknown])[] = [
    ['${HOST}', 'example.com'],
    ['"${HOST}"', 'example.com'],
    ["'${HOST}'", 'example.com'],
    ['https://${HOST}:${PORT}/v1', 'https://example.com:8080/v1'],
    ['${ABSENT:-fallback}', 'fallback'],
    ['${NONE:-fallback}', 'fallback'],
    ['${HOST:-fallback}', 'example.com'],
    ['"${ABSENT:-}"', ''],
    ['${ABSENT:-}', ''],
    ['${NONE}', ''],
    ['"a ${ABSENT:-b: c} d"', 'a b: c d'],
    ['"$${HOST}"', '${HOST}'],
    ['"$${HOST} ${HOST}"', '${HOST} example.com'],
    ['"$HOST costs $5"', '$HOST costs $5'],
    ['"{HOST}"', '{HOST}'],
    // Unquoted and alone: read as YAML would read it, if YAML has a scalar for it.
    ['${PORT}', 8080],
    ['"${PORT}"', '8080'],
    ['${PORT}0', '80800'],
    ['${ON}', true],
    ['${MORE}', 31],
    ['${NULL}', null],
    ['${ABSENT:-2.5}', 2.5],
    ['!!str ${PORT}', '8080'],
    ['${LIST}', '[1, 2]'],
    ['${HASH}', 'a # b'],
    ['|\n        ${HOST}\n        ${PORT}\n', 'example.com\n8080\n'],
  ]
  for (const [written, expected] of rows) {
    test(`${JSON.stringify(written)} → ${JSON.stringify(expected)}`, async () => {
      assert.deepEqual(await valueOf(written, env), expected)
    })
  }

  test('a number, where the schema wants a text, is a text', async () => {
    const { upstreams } = await sound(
      'upstreams: [{ name: a, provider: openai, key: "x" }]\nplugins: [openai]'.replace('"x"', '"${K}"'),
      { K: '12345678' },
    )
    assert.equal(upstreams[0]?.key?.reveal(), '12345678')
    const text = 'upstreams:\n  - name: a\n    provider: openai\n    key: ${K}\n    priority: ${P}\nplugins: [openai]\n'
    const plain = await sound(text, { K: '00123', P: '7' })
    assert.equal(plain.upstreams[0]?.key?.reveal(), '00123')
    assert.equal(plain.upstreams[0]?.priority, 7)
  })

  test('keys and comments are left alone', async () => {
    const { set } = await optionsOf('# ${NOBODY}\nplugins:\n  - everything:\n      set: { "${KEY}": 1 }\n')
    assert.deepEqual(set, { '${KEY}': 1 })
  })

  test('an anchor is resolved once for all that use it', async () => {
    const { set } = await optionsOf('plugins:\n  - everything: { set: { a: &v "${V}", b: *v } }\n', { V: '1' })
    assert.deepEqual(set, { a: '1', b: '1' })
  })
})

describe('references that cannot be had', () => {
  const rows = [
    ['listen: ${NOBODY}\n', '1:9', 'the environment variable NOBODY is not set', '${NOBODY:-default}'],
    ['listen: "${A:-x}:${NOBODY}"\n', '1:18', 'NOBODY is not set', 'Set NOBODY in the environment'],
    ['listen: "$${A} ${NOBODY}"\n', '1:16', 'NOBODY is not set', 'Set NOBODY'],
    ['log:\n  level: >-\n    a\n    ${NOBODY}\n', '4:5', 'NOBODY is not set', 'Set NOBODY'],
    ['listen: "${}"\n', '1:10', 'this is no reference', '$${'],
    ['listen: "${A"\n', '1:10', 'this is no reference', '${NAME:-default}'],
    ['listen: "${A-b}"\n', '1:10', 'this is no reference', '${NAME:-default}'],
    ['listen: "${1A}"\n', '1:10', 'this is no reference', '${NAME}'],
    ['listen: "${A:-${B}}"\n', '1:10', 'this is no reference', '${NAME}'],
    ['listen: file:nowhere.txt\n', '1:9', 'file:nowhere.txt cannot be read: there is no such file', 'relative to'],
    ['listen: file:/\n', '1:9', 'file:/ cannot be read: it is no file', 'relative to'],
    ['listen: file:/dev/zero\n', '1:9', 'it is no file', 'relative to'],
  ] as const
  for (const [text, place, message, cure] of rows) {
    test(`${JSON.stringify(text)} is one problem, at ${place}`, async () => {
      const { problems } = await parse(text)
      assert.deepEqual(
        problems.map(({ line, column }) => `${line}:${column}`),
        [place],
      )
      assert.ok(problems[0]?.message.includes(message), problems[0]?.message)
      assert.ok(problems[0]?.cure?.includes(cure), problems[0]?.cure)
    })
  }
})

describe('references to files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-references-'))
  after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'gateway.yaml')
  const load = async (key: string, env: Record<string, string> = {}): Promise<Config | string> => {
    await writeFile(file, `upstreams:\n  - { name: a, provider: openai, key: "${key}" }\nplugins: [openai]\n`)
    const { config, problems } = await loadConfig(file, { plugins: source, env })
    return config ?? problems.map((problem) => render(problem)).join('\n')
  }
  const keyOf = (loaded: Config | string) => (typeof loaded === 'string' ? loaded : loaded.upstreams[0]?.key?.reveal())

  test('are relative to gateway.yaml and lose one newline at their end', async () => {
    await mkdir(join(folder, 'secrets'))
    await writeFile(join(folder, 'secrets', 'key'), 'sk-file\n')
    assert.equal(keyOf(await load('file:secrets/key')), 'sk-file')
    await writeFile(join(folder, 'key'), ' two\n\n')
    assert.equal(keyOf(await load('file:key')), ' two\n')
    await writeFile(join(folder, 'key'), 'windows\r\n')
    assert.equal(keyOf(await load('file:key')), 'windows')
    assert.equal(keyOf(await load(`file:${folder}/key`)), 'windows')
  })

  test('may have variables in their path, and be the default of one', async () => {
    await writeFile(join(folder, 'key'), 'sk-file')
    assert.equal(keyOf(await load('file:${NAME}', { NAME: 'key' })), 'sk-file')
    assert.equal(keyOf(await load('${KEY:-file:key}')), 'sk-file')
    assert.equal(keyOf(await load('${KEY:-file:key}', { KEY: 'sk-env' })), 'sk-env')
  })

  test('are never taken from what a variable or a file holds', async () => {
    assert.equal(keyOf(await load('${KEY}', { KEY: 'file:/etc/passwd' })), 'file:/etc/passwd')
    assert.equal(keyOf(await load('${KEY:-x}', { KEY: '${HOME}' })), '${HOME}')
    await writeFile(join(folder, 'key'), 'file:/etc/passwd ${HOME}')
    assert.equal(keyOf(await load('file:key')), 'file:/etc/passwd ${HOME}')
  })

  test('belong to the version of the configuration', async () => {
    const versions = new Set<string>()
    for (const key of ['one', 'two', 'two\n']) {
      await writeFile(join(folder, 'key'), key)
      const loaded = await load('file:key')
      if (typeof loaded !== 'string') versions.add(loaded.version)
    }
    assert.equal(versions.size, 2, 'the newline at the end is no part of the key')
  })

  test('are refused where they are larger than any credential', async () => {
    await writeFile(join(folder, 'key'), Buffer.alloc(1024 * 1024 + 1))
    assert.match(keyOf(await load('file:key')) ?? '', /larger than 1 MiB/)
  })
})

describe('a secret is never shown', () => {
  const secret = 'S3cret-value-0123456789'
  const shown = async (text: string, env: Record<string, string> = {}, plugins = source) => {
    const { problems } = await parse(text, env, plugins)
    assert.ok(problems.length > 0)
    return `${problems.map((problem) => render(problem)).join('\n')}\n${JSON.stringify(problems)}`
  }

  const fromElsewhere = [
    'listen: "${S}"\n',
    'listen: ${S}\n',
    'log: { level: "${S}" }\n',
    'limits: { drain: "x${S}" }\n',
    'upstreams:\n  - { name: "${S} ", provider: "${S}", url: "${S}", models: ["*${S}"], priority: "${S}" }\n',
    'upstreams:\n  - { name: "${S}", provider: openai }\n  - { name: "${S}", provider: openai }\nplugins: [openai]\n',
    'plugins: ["${S}"]\n',
    'plugins: ["./${S}"]\n',
    'plugins:\n  - openai: { as: "${S}" }\n',
    'listen: "file:${S}"\n',
    'trusted_proxies: "${S}"\n',
  ]
  for (const text of fromElsewhere) {
    test(`that came from the environment: ${JSON.stringify(text)}`, async () => {
      assert.ok(!(await shown(text, { S: secret })).includes(secret))
    })
  }

  const literal = [
    `upstreams:\n  - { name: a, provider: opnai, key: ${secret} }\n`,
    `upstreams:\n  - { name: a, provider: opnai, key: "\${K:-${secret}}" }\n`,
    `upstreams:\n  - { name: a, provider: opnai, kee: ${secret} }\n`,
    `upstreams:\n  - { name: a, provider: opnai, credential: ${secret} }\n`,
    `upstreams:\n  - { name: a, provider: opnai, key: [${secret}] }\n`,
    `upstreams:\n  - name: "\n    key: ${secret}\n`,
    `upstreams:\n  - { name: a, url: "https://user:${secret}@example.com" }\n`,
    `plugins:\n  - api-keys: { keys: [{ key: ${secret} }] }\n`,
    `plugins:\n  - api-keyz: { keys: [{ name: a, key: ${secret} }] }\n`,
    `plugins:\n  - everything: { store: { password: ${secret} } }\n`,
    `plugins:\n  - everything: { stoer: { password: ${secret} } }\n`,
    `plugins:\n  - openai:\n    key: ${secret}\n`,
    `plugins:\n  - openai:\n  key: ${secret}\n`,
    `x: &k ${secret}\nupstreams: [{ name: a, key: *k }]\n`,
  ]
  for (const text of literal) {
    test(`that stands in the file: ${JSON.stringify(text)}`, async () =>
      assert.ok(!(await shown(text)).includes(secret)))
  }

  test('that somebody else puts into a message', async () => {
    const thrower = plugin(
      'thrower',
      { type: 'object', properties: { key: { type: 'string' } } },
      {
        mount: (config) => {
          throw new Error(`cannot use ${inspect(config)}`)
        },
      },
    )
    const told = await shown('plugins:\n  - thrower: { key: "${S}" }\n', { S: secret }, sourceOf([thrower]))
    assert.match(told, /thrower cannot be mounted: cannot use \{ key: '\*\*\*' \}/)
  })

  test('though the reference to it is', async () => {
    const told = await shown('upstreams:\n  - { name: a, provider: opnai, key: "${KEY}" }\n', { KEY: secret })
    assert.match(told, /key: "\$\{KEY\}"/)
    assert.match(await shown('log: { level: "${LEVEL}" }\n', { LEVEL: 'loud' }), /not what \$\{LEVEL\} stands for/)
  })
})
