/** What holds for every folder in plugins/, without a line of its own. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import type { Plugin } from '../core/plugin.ts'
import { pluginSource } from '../core/plugins.ts'
import { pluginContract } from '../core/testing/contract.ts'
import { migratedDatabase } from './postgres.ts'

for (const name of pluginSource.names) {
  const plugin = await pluginSource.load(name, '.')
  test(`${name} is called what its folder is called`, () => assert.equal(plugin.name, name))
  pluginContract(plugin, { folder: new URL(`../plugins/${name}/`, import.meta.url), ground: () => groundFor(plugin) })
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
    config: { keys, ...(database ? { database: database.url } : {}) },
    [Symbol.asyncDispose]: async () => database?.[Symbol.asyncDispose](),
  }
}
