/** `postern schema`: the schema of gateway.yaml for editors, with the options of everybody's plugins. */
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { readYaml } from '../config/document.ts'
import { between, editorSchema, optionTable, putBetween } from '../config/editor.ts'
import { render } from '../config/problems.ts'
import { Report } from '../config/report.ts'
import type { Plugin } from '../plugin.ts'
import { pluginSource } from '../plugins.ts'
import type { Values } from './table.ts'

/** Resolves with the exit code: 1 if the file cannot be read or a plugin cannot be loaded; nothing is written then. */
export async function schema({ config: file, out }: Values): Promise<number> {
  const folder = dirname(resolve(file))
  try {
    const builtIn = await Promise.all(pluginSource.names.map((name) => load(name, folder)))
    const names = await foreignNames(file)
    const foreign = await Promise.all(names.map((name) => load(name, folder)))
    // In the file they go by the name that leads to them.
    const called = foreign.map((plugin, at): Plugin => ({ ...plugin, name: names[at]! }))
    const written = out ?? join(folder, 'gateway.schema.json')
    await writeFile(written, `${JSON.stringify(editorSchema([...builtIn, ...called]), null, 2)}\n`)
    process.stdout.write(`${written}: ${builtIn.length + called.length} plugins\n`)
    for (const [at, name] of names.entries())
      if (name.startsWith('.')) await freshen(resolve(folder, name), foreign[at]!)
    return 0
  } catch (error) {
    process.stderr.write(`postern: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

async function load(name: string, folder: string): Promise<Plugin> {
  return pluginSource.load(name, folder).catch((error: unknown) => {
    throw new Error(`${name} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`)
  })
}

/** The plugins of the list that are not built in, each once. */
async function foreignNames(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new Error(`${file} cannot be read: name the right one with --config FILE`)
  })
  const report = new Report(file, text)
  const list = readYaml(text, report)?.value(['plugins'])
  if (!report.clean) throw new Error(report.problems().map(render).join('\n\n'))
  const names = (Array.isArray(list) ? list : []).map((item: unknown) =>
    typeof item === 'object' && item !== null ? Object.keys(item)[0] : item,
  )
  const foreign = names.filter((name) => typeof name === 'string' && /\//.test(name) && !name.includes('${'))
  return [...new Set(foreign as string[])] // filtered above
}

/** Puts a fresh table into the README of a folder, if it has a place for one. */
async function freshen(folder: string, plugin: Plugin): Promise<void> {
  const path = join(folder, 'README.md')
  const text = await readFile(path, 'utf8').catch(() => '')
  if (!text.includes('<!-- options -->') || between(text, 'options') === optionTable(plugin)) return
  await writeFile(path, putBetween(text, 'options', optionTable(plugin)))
  process.stdout.write(`${path}: a fresh table of options\n`)
}
