/** Every block of code in the documents: TypeScript compiles, configurations are well, commands exist. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'
import { commandRows, optionRows, recordNames } from '../core/commands/table.ts'
import { readTests } from '../core/commands/test-file.ts'
import { parseConfig } from '../core/config/load.ts'
import { render } from '../core/config/problems.ts'
import { pluginSource } from '../core/plugins.ts'
import { issuer } from './certificates.ts'
import { blocksOf, callsIn, type Block } from './docs-blocks.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const documents = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: root })].filter(
  (path) => !path.endsWith('contract.api.md'),
)
const blocks = documents.flatMap(blocksOf)
const of = (...languages: string[]) => blocks.filter(({ language }) => languages.includes(language))

test('blocks are found', () => {
  assert.ok(of('ts').length >= 4)
  assert.ok(of('yaml').length >= 6)
  assert.ok(of('sh').flatMap(callsIn).length >= 15)
})

test('TypeScript compiles', () => {
  // Within the tree, where the house is found by its name; each document is a folder, each block a file.
  const folder = join(root, '.cache', `docs-${process.pid}`)
  try {
    for (const [at, { text, place }] of of('ts').entries()) {
      const [, named] = /^\/\/ ([\w.-]+\.ts)\n/.exec(text) ?? []
      const file = join(folder, place.replace(/:.*/, ''), named ?? `block-${at}.ts`)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, named === undefined && !/^import /m.test(text) ? inFunction(text) : text)
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', include: ['.'] }))
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
    execFileSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
  } catch (error) {
    assert.fail(error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** A part of a test, as CONTRIBUTING shows one. */
function inFunction(text: string): string {
  return `import { fakeUpstream, gateway, json } from 'postern/testing'\nexport async function part() {\n${text}}\n`
}

describe('YAML', () => {
  for (const { text, place } of of('yaml')) {
    test(`at ${place} is well`, async () => {
      for (const document of parseAllDocuments(text)) {
        assert.deepEqual(document.errors, [])
        const value: unknown = document.toJS()
        assert.ok(typeof value === 'object' && value !== null)
        if ('tests' in value) await testsAreWell(text)
        else if ('plugins' in value) await isWell(text)
        else if ('data' in value) await isWell((value.data as Record<string, string>)['gateway.yaml'] ?? '') // a ConfigMap's
        else assert.ok('services' in value || 'apiVersion' in value, 'a block of YAML is of a known kind')
      }
    })
  }
})

/** But for the files that only its readers have. */
async function isWell(text: string): Promise<void> {
  await using certificates = await issuer()
  const { certFile, keyFile } = await certificates.issue({ names: ['DNS:gateway.test'] })
  const known = text
    .replaceAll(/file:tls\/[\w-]+\.key/g, `file:${keyFile}`)
    .replaceAll(/file:tls\/[\w-]+\.(?:crt|pem)/g, `file:${certFile}`)
    .replace(/^ *- \.\/our-plugins.*$/m, '')
    .replaceAll(/"file:[^"]*\/([^"/]+)"/g, 'a-key-that-is-called-$1')
  const names = [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => [name, `postgres://h/value-of-${name}`])
  const { problems } = await parseConfig(known, 'gateway.yaml', {
    plugins: pluginSource,
    env: Object.fromEntries(names),
  })
  assert.deepEqual(problems.map(render), [])
}

async function testsAreWell(text: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-docs-'))
  try {
    writeFileSync(join(folder, 'gateway.test.yaml'), text)
    const { report } = await readTests(join(folder, 'gateway.test.yaml'))
    assert.deepEqual(report.problems().map(render), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('commands', () => {
  const calls = of('sh').flatMap((block: Block) => callsIn(block).map((words) => ({ words, place: block.place })))
  for (const { words, place } of calls) {
    test(`postern ${words.join(' ')} (${place}) can be called`, () => {
      const [name = '', ...rest] = words
      if (['--help', '--version'].includes(name) || recordNames.some((known) => known === name)) return
      const row = Object.hasOwn(commandRows, name) ? commandRows[name] : undefined
      assert.ok(row, `there is no command ${name}`)
      for (const word of rest.filter((word) => /^--?[a-zA-Z]/.test(word) && word !== '--help')) {
        const known = row.options.some((option) => word === `--${option}` || word === `-${optionRows[option].short}`)
        assert.ok(known, `${name} takes no ${word}`)
      }
    })
  }
})
