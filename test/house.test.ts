/** The rules of the house: who may import whom, and how long a file may be. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { allowedLicences, lockedPackages } from './licences.ts'

const root = new URL('../', import.meta.url)
const sources = globSync(['core/**/*.ts', 'plugins/**/*.ts', 'test/**/*.ts'], { cwd: root })
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const importsOf = (path: string) =>
  [...read(path).matchAll(/(?:^|\n)(?:import|export)[^'"\n]*?(?:from )?['"]([^'"]+)['"]|\} from '([^']+)'/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  )
const isTest = (path: string) => /\.(test|bench|contract|fixture)\.ts$/.test(path)

describe('imports', () => {
  test('are read by this test', () => {
    assert.ok(importsOf('core/gateway.ts').includes('./route.ts'))
    assert.ok(importsOf('plugins/openai/index.ts').includes('postern/provider'))
    assert.ok(sources.length > 40)
  })

  test('of a plugin are its own files, Node, packages, and the public names of the house', () => {
    for (const path of sources.filter((path) => path.startsWith('plugins/') && !isTest(path))) {
      for (const name of importsOf(path)) {
        assert.ok(!name.startsWith('..'), `${path} imports ${name}`)
        if (name.startsWith('postern')) assert.match(name, /^postern\/(plugin|provider|access)$/, path)
      }
    }
  })

  test('of the core never lead into plugins or tests', () => {
    for (const path of sources.filter((path) => path.startsWith('core/') && !isTest(path))) {
      for (const name of importsOf(path)) assert.doesNotMatch(name, /plugins\/|\/test\//, path)
    }
  })

  test('of node:http bring types alone: a value by name loads fetch, 10 MiB (core/http.ts)', () => {
    const others = /^(core\/testing\/|plugins\/demo\/raw-client\.ts$|test\/)/
    for (const path of sources.filter((path) => !isTest(path) && !others.test(path)))
      assert.doesNotMatch(read(path), /^import (?!type )[^'\n]*'node:http'/m, path)
  })

  const adapters: Readonly<Record<string, RegExp>> = {
    undici: /^core\/upstream\/undici-client\.ts$/,
    'http-proxy-3': /^core\/upstream\/transport\.ts$/,
    pino: /^core\/observe\/log\.ts$/,
    chokidar: /^core\/config\/watch\.ts$/,
    yaml: /^core\/config\//,
    ajv: /^core\/config\//,
    ioredis: /^core\/store\//,
    pg: /^core\/database\//,
    'node-pg-migrate': /^core\/database\//,
    ws: /^core\/(upstream\/ws-|websocket\.ts$)/,
  }
  for (const [name, adapter] of Object.entries(adapters)) {
    test(`of ${name} are in one place`, () => {
      for (const path of sources.filter((path) => path.startsWith('core/') && !isTest(path))) {
        const imported = importsOf(path).some((from) => from === name || from.startsWith(`${name}/`))
        if (imported) assert.match(path, adapter, `${path} imports ${name}`)
      }
    })
  }
})

describe('a file', () => {
  test('has at most 300 lines', () => {
    for (const path of sources) assert.ok(read(path).split('\n').length <= 301, `${path} is too long`)
  })

  test('is not called by what it is not', () => {
    for (const path of sources) assert.doesNotMatch(path, /utils?|helpers?|common|manager/i)
  })

  test('names no place of one machine', () => {
    const others = sources.filter((path) => !import.meta.url.endsWith(path))
    for (const path of [...others, 'README.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', 'package-lock.json']) {
      assert.doesNotMatch(read(path), /\/(home|root|Users)\/\w|"resolved":/, path)
    }
  })
})

describe('a package', () => {
  const packages = lockedPackages()

  test('that may be there at run time has a licence of the list', () => {
    assert.ok(packages.some(({ name }) => name === 'undici'))
    for (const { name, license, isDev } of packages)
      if (!isDev) assert.ok(allowedLicences.has(license), `${name} has the licence ${license}: may that ship?`)
  })

  test('needs no script to be installed: those that have one are denied it, and are optional or for development', () => {
    const { allowScripts } = JSON.parse(read('package.json')) as { allowScripts: Record<string, boolean> } // our own file
    const scripted = packages.filter(({ hasInstallScript }) => hasInstallScript)
    assert.ok(scripted.length > 0)
    for (const { name, version, isDev, isOptional } of scripted) {
      assert.ok(isDev || isOptional, `${name} wants to run a script where Postern runs`)
      assert.equal(allowScripts[`${name}@${version}`], false, `${name}@${version} is not denied its script`)
    }
  })
})
