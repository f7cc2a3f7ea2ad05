/** The tests that every plugin passes, without a line of its own. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { JSONSchema } from 'json-schema-to-ts'
import { between, optionTable } from '../config/editor.ts'
import { phases, type Hooks, type Plugin } from '../plugin.ts'
import { openGateway as gateway } from './gateway.ts'

type Options = Exclude<JSONSchema, boolean>

export interface ContractOptions {
  /** The folder of the plugin: `new URL('./', import.meta.url)`. Absent: its files are not looked at. */
  readonly folder?: URL
  /** What it needs to be set up: its required options. */
  readonly options?: object
  /** Plugins of the house above it, which write the facts it reads. `openai` where absent and it is no provider. */
  readonly above?: readonly string[]
  /** What else gateway.yaml has to have. */
  readonly config?: object
  /** Opens what it stands on, such as a database, and says what gateway.yaml has to have for it. */
  readonly ground?: () => Promise<AsyncDisposable & { readonly config: object }>
}

/** Declares them, for node:test: `pluginContract(plugin, { folder: new URL('./', import.meta.url) })`. */
export function pluginContract(plugin: Plugin, options: ContractOptions = {}): void {
  const { name } = plugin
  const { folder, above = plugin.mount ? [] : ['openai'] } = options
  const item = (made: Plugin) => (options.options ? { [made.name]: options.options } : made.name)
  const groundOf = async () => (await options.ground?.()) ?? { config: {}, async [Symbol.asyncDispose]() {} }

  void describe(`the plugin ${name}`, () => {
    void test('has a name that can stand in gateway.yaml', () => assert.match(name, /^[a-z][a-z0-9-]*$/))

    if (folder) {
      void test('has its tests and its README beside it, with a fresh table of options', () => {
        assert.ok(existsSync(new URL(`${name}.test.ts`, folder)) || existsSync(new URL(`${name}.test.js`, folder)))
        const readme = readFileSync(new URL('README.md', folder), 'utf8')
        assert.ok(readme.startsWith(`# ${name}\n`))
        assert.equal(between(readme, 'options'), optionTable(plugin), 'stale: npm run generate, or postern schema')
      })
    }

    void test('describes every option, and gives it a default, requires it, or says what its absence means', () => {
      const schema = plugin.config as Options // a schema of true or false describes nothing
      assert.ok(schema.description, 'what the plugin does')
      for (const path of undescribed(schema))
        assert.fail(`${path} has no description, or neither a default nor a place in required, nor "Absent: …"`)
    })

    void test('knows no hook but the ten moments of an exchange', async () => {
      let hooks: Hooks = {}
      const spied: Plugin = {
        ...plugin,
        setup: async (context) => (hooks = await plugin.setup(context)),
      }
      // What is declared is set up for real, and taken down again: the harness fails on what it leaves open.
      await using ground = await groundOf()
      const plugins = [...above, item(plugin)]
      await using _ = await gateway({ ...options.config, ...ground.config, plugins }, { plugins: [spied] })
      for (const hook of Object.keys(hooks))
        assert.ok(
          phases.some((phase) => phase === hook),
          hook,
        )
    })

    void test('leaves nothing behind after ten reloads', async () => {
      await using ground = await groundOf()
      const settings = { ...options.config, ...ground.config, plugins: [...above, item(plugin)] }
      await using gw = await gateway(settings, { plugins: [plugin] })
      for (let times = 0; times < 10; times++) assert.deepEqual(await gw.reload(settings), [])
    })
  })
}

/** The paths of options that say too little. */
function undescribed(schema: Options, path = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([option, value]) => {
    const at = path === '' ? option : `${path}.${option}`
    const inner = value as Options // a schema of true or false describes nothing
    const required = schema.required?.includes(option) ?? false
    const mayBeAbsent = /Absent: /.test(inner.description ?? '')
    const complete = inner.description !== undefined && (inner.default !== undefined || required || mayBeAbsent)
    return [...(complete ? [] : [at]), ...undescribed(inner, at)]
  })
}
