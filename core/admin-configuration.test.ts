import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { gateway } from '../test/harness.ts'
import { veiled } from './admin-configuration.ts'

const keeper = definePlugin({
  name: 'keeper',
  config: {
    type: 'object',
    description: 'Has a secret and a setting.',
    additionalProperties: false,
    properties: {
      pass: { type: 'string', format: 'secret', description: 'A secret.', default: '' },
      wait: { type: 'string', format: 'duration', description: 'A setting.', default: '5s' },
    },
  },
  setup: () => ({}),
})

/** What the page tells, as text and as a value. */
async function told(adminUrl: string) {
  const text = await (await fetch(`${adminUrl}/configuration`)).text()
  const value = JSON.parse(text) as {
    running: {
      version: string
      plugins: unknown[]
      upstreams: Record<string, unknown>[]
      keys: string[]
      settings: Record<string, unknown>
    }
    refused: null | { text: string | null; problems: { message: string; line: number }[] }
  } // admin-configuration.ts
  return { text, ...value }
}

const options = {
  plugins: ['openai', keeper],
  upstreams: [{ name: 'o', provider: 'openai', url: 'http://127.0.0.1:9/', key: 'canary-upstream-key' }],
  keys: [{ name: 'somebody', key: 'canary-caller-key-0123' }],
}

describe('/configuration', () => {
  test('tells what runs, defaults included and secrets masked', async () => {
    await using gw = await gateway(options)
    const { text, running, refused } = await told(gw.adminUrl)
    assert.doesNotMatch(text, /canary/)
    assert.equal(refused, null)
    assert.equal(running.version, gw.sidecar.server.gateway.config.version)
    assert.equal(running.upstreams[0]?.key, '***')
    assert.equal(running.upstreams[0]?.url, 'http://127.0.0.1:9/')
    assert.deepEqual(running.keys, ['somebody'])
    assert.equal((running.settings.limits as { drain: number }).drain, 30_000) // ms
  })

  test('puts the refused file beside it: its text without secrets and comments, and its problems', async () => {
    await using gw = await gateway(options)
    await writeFile(
      gw.file,
      `# canary-comment
upstreams:
  - { name: o, provider: openai, key: canary-inline-key }
  - name: p # canary-behind
    provider: openai
    key: "\${CANARY_IS_A_NAME}"
    kye: canary-misspelt
plugins:
  - openai
  - keeper:
      pass: canary-option
      wait: 7s
  - nobody-knows: { it: canary-unknown }
store: redis://user:canary-password@127.0.0.1:6379
`,
    )
    await gw.sidecar.reload()
    const { text, refused, running } = await told(gw.adminUrl)
    assert.doesNotMatch(text, /canary/)
    assert.match(refused?.text ?? '', /key: \*\*\* \}/)
    assert.match(refused?.text ?? '', /wait: 7s/)
    assert.match(refused?.text ?? '', /"\$\{CANARY_IS_A_NAME\}"/, 'a reference tells where a secret is, not what it is')
    assert.ok(refused!.problems.some(({ message, line }) => /CANARY_IS_A_NAME/.test(message) && line === 6))
    assert.deepEqual(running.keys, ['somebody'], 'what runs is what ran')
  })

  test('shows no text of a file that is no YAML', async () => {
    await using gw = await gateway(options)
    await writeFile(gw.file, 'upstreams: [ { key: canary-key\n')
    await gw.sidecar.reload()
    const { text, refused } = await told(gw.adminUrl)
    assert.doesNotMatch(text, /canary/)
    assert.equal(refused?.text, null)
    assert.ok(refused.problems.length > 0)
  })
})

describe('a veil', () => {
  const config = { file: 'gateway.yaml', plugins: [] }
  test('leaves nothing of a secret, not its length, however it is written', () => {
    for (const key of [
      'canary',
      '"canary"',
      "'canary'",
      '>-\n      canary\n      canary',
      '&a canary',
      '{ nested: canary }',
    ])
      assert.doesNotMatch(veiled(`upstreams:\n  - name: o\n    key: ${key}\n`, config) ?? '', /canary/, key)
    assert.equal(veiled('upstreams: [{ key: abcdefgh }]\n', config), veiled('upstreams: [{ key: x }]\n', config))
  })

  test('keeps what is no secret to the letter', () => {
    const text = 'listen: 127.0.0.1:1\nlimits:\n  body: 1MiB\nplugins: [openai]\n'
    assert.equal(veiled(text, config), text)
  })

  test('does not show a file without end', () => {
    assert.equal(veiled(`listen: "${'x'.repeat(300_000)}"`, config), null)
  })
})
