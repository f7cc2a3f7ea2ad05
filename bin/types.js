/** The declarations of the public modules, and of what they are made of. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

/** The public modules: `postern/plugin` and its siblings. */
export const publicModules = ['plugin', 'provider', 'access', 'testing']

/** Writes out/core/*.d.ts; what no public module leads to is left out. */
export function emitTypes(out) {
  const require = createRequire(import.meta.url)
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
  const sources = publicModules.map((name) => `core/${name}.ts`)
  const options = {
    rootDir: '.',
    outDir: out,
    module: 'nodenext',
    target: 'es2024',
    lib: 'es2024,esnext.disposable',
    types: 'node',
  }
  const flags = [
    'ignoreConfig',
    'strict',
    'declaration',
    'emitDeclarationOnly',
    'allowImportingTsExtensions',
    'skipLibCheck',
  ]
  const words = [
    ...flags.map((flag) => `--${flag}`),
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  ]
  execFileSync(process.execPath, [compiler, ...words, ...sources], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const reached = new Set()
  const follow = (file) => {
    if (reached.has(file)) return
    reached.add(file)
    const text = readFileSync(file, 'utf8').replaceAll(/(['"])(\.{1,2}\/[^'"]+)\.ts\1/g, '$1$2.js$1')
    writeFileSync(file, text)
    for (const [, path] of text.matchAll(/['"](\.{1,2}\/[^'"]+)\.js['"]/g)) follow(join(dirname(file), `${path}.d.ts`))
  }
  for (const name of publicModules) follow(join(out, 'core', `${name}.d.ts`))
  for (const entry of readdirSync(join(out, 'core'), { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name)
    if (entry.isFile() && file.endsWith('.d.ts') && !reached.has(file)) rmSync(file)
  }
}
