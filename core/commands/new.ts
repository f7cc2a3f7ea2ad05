/** `postern new`: a folder with a plugin that works as it is. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { between, optionTable, putBetween } from '../config/editor.ts'
import { pluginSource } from '../plugins.ts'
import { version } from '../version.ts'
import { pluginFiles, providerFiles, surroundings } from './new-files.ts'
import type { Values } from './table.ts'

/** Resolves with the exit code: 1 if something is there already, 2 if it was called wrongly. */
export async function newPlugin({
  config: file,
  folder: parent,
  words: [kind, name],
}: Values & { words: readonly string[] }): Promise<number> {
  if (kind !== 'plugin' && kind !== 'provider')
    return fail('say what: postern new plugin NAME, or postern new provider NAME', 2)
  if (name === undefined || !/^[a-z][a-z0-9-]*$/.test(name))
    return fail('its name is lower-case letters, digits and -, a letter first', 2)
  if (pluginSource.names.includes(name)) return fail(`${name} is the name of a built-in plugin`, 2)
  const beside = dirname(resolve(file))
  const folder = resolve(parent ?? join(beside, 'our-plugins'), name)
  if (existsSync(folder)) return fail(`${folder} is there already; nothing was written`, 1)
  const made = kind === 'plugin' ? pluginFiles(name) : providerFiles(name)
  const files = isInside(folder) ? made : { ...made, ...surroundings(name, version()) }
  mkdirSync(folder, { recursive: true })
  for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text)
  await freshen(folder)
  process.stdout.write(told(folder, beside, Object.keys(files)))
  return 0
}

/** Within a tree that is the house's own there is a package.json and a tsconfig.json already. */
function isInside(folder: string): boolean {
  for (let at = dirname(folder); ; at = dirname(at)) {
    const path = join(at, 'package.json')
    if (existsSync(path)) return (JSON.parse(readFileSync(path, 'utf8')) as { name?: string }).name === 'postern' // npm's own
    if (dirname(at) === at) return false
  }
}

/** The table of options is made of the schema, which has to be loaded for it. Where this Node cannot, the table stays as it is. */
async function freshen(folder: string): Promise<void> {
  const path = join(folder, 'README.md')
  const text = readFileSync(path, 'utf8')
  const plugin = await pluginSource.load('.', folder).catch(() => null)
  if (plugin && between(text, 'options') !== optionTable(plugin))
    writeFileSync(path, putBetween(text, 'options', optionTable(plugin)))
}

function told(folder: string, beside: string, files: readonly string[]): string {
  const path = relative(beside, folder).replaceAll('\\', '/')
  const isOwn = files.includes('package.json')
  return `${folder}
${files.map((file) => `  ${file}`).join('\n')}

In plugins of gateway.yaml:
  - ${path.startsWith('.') ? path : `./${path}`}

${isOwn ? `cd ${folder}\nnpm install\nnpm run check && npm test && npm run bench` : `node --test ${join(folder, '*.test.ts')}`}
`
}

function fail(reason: string, code: number): number {
  process.stderr.write(`postern: ${reason}\n`)
  return code
}
