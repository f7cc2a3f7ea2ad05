/** What holds for every folder in plugins/, without a line of its own. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { JSONSchema } from 'json-schema-to-ts'
import { optionTable } from '../core/config/editor.ts'
import { phases, type Hooks, type Plugin } from '../core/plugin.ts'
import { pluginSource } from '../core/plugins.ts'
import { between } from './generated.ts'
import { gateway } from './harness.ts'
import { migratedDatabase } from './postgres.ts'

type Options = Exclude<JSONSchema, boolean>

for (const name of pluginSource.names) {
  const folder = new URL(`../plugins/${name}/`, import.meta.url)
  describe(`the plugin ${name}`, async () => {
    const plugin = await pluginSource.load(name, '.')

    // What it reads, somebody above it has to write.
    const writers = plugin.mount ? [] : ['openai']

    test('is called what its folder is called', () => {
      assert.equal(plugin.name, name)
      assert.match(name, /^[a-z][a-z0-9-]*$/)
    })

    test('has its tests and its README beside it, with a fresh table of options', () => {
      assert.ok(existsSync(new URL(`${name}.test.ts`, folder)))
      const readme = readFileSync(new URL('README.md', folder), 'utf8')
      assert.ok(readme.startsWith(`# ${name}\n`))
      assert.equal(between(readme, 'options'), optionTable(plugin), 'stale: npm run generate')
    })

    test('describes every option, and gives it a default, requires it, or says what its absence means', () => {
      const schema = plugin.config as Options // a schema of true or false describes nothing
      assert.ok(schema.description, 'what the plugin does')
      for (const path of undescribed(schema))
        assert.fail(`${path} has no description, or neither a default nor a place in required, nor "Absent: …"`)
    })

    test('knows no hook but the ten moments of an exchange', async () => {
      let hooks: Hooks = {}
      const spied = {
        ...plugin,
        setup: async (context: Parameters<typeof plugin.setup>[0]) => (hooks = await plugin.setup(context)),
      }
      // What is declared is set up for real, and taken down again: the harness fails on what it leaves open.
      await using ground = await groundFor(plugin)
      await using _ = await gateway({ ...ground.options, plugins: [...writers, spied] })
      for (const hook of Object.keys(hooks))
        assert.ok(
          phases.some((phase) => phase === hook),
          hook,
        )
    })

    test('leaves nothing behind after ten reloads', async () => {
      await using ground = await groundFor(plugin)
      const options = { ...ground.options, plugins: [...writers, name] }
      await using gw = await gateway(options)
      for (let times = 0; times < 10; times++) assert.deepEqual(await gw.reload(options), [])
    })
  })
}

test('plugins are folders with an index', () => {
  const folders = readdirSync(new URL('../plugins/', import.meta.url))
  assert.ok(folders.length >= 6)
  for (const folder of folders) assert.ok(existsSync(new URL(`../plugins/${folder}/index.ts`, import.meta.url)), folder)
})

/** What a plugin may need to stand on: somebody who may call, and a database if it cannot be without. */
async function groundFor({ needsDatabase = false }: Plugin) {
  const keys = [{ name: 'somebody', key: 'a-key-for-somebody' }]
  const database = needsDatabase ? await migratedDatabase() : null
  return {
    options: { keys, ...(database ? { database: database.url } : {}) },
    [Symbol.asyncDispose]: async () => database?.[Symbol.asyncDispose](),
  }
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
