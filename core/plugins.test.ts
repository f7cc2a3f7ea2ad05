/** Plugins of others: from a folder beside gateway.yaml, from a package, and what is said of those that cannot be had. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { contractProblem, contractVersion } from './contract.ts'
import { loadConfig } from './config/load.ts'
import { definePlugin } from './plugin.ts'
import { pluginSource } from './plugins.ts'
import { openGateway as gateway } from './testing/gateway.ts'

/** A folder far from the house, with these files; gone at the end of the block. */
async function place(files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-plugins-'))
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  for (const [path, text] of Object.entries(files)) await write(path, text)
  return { folder, write, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}

const answers = (name: string, status: number) => `
  import { definePlugin, reply } from 'postern/plugin'
  export default definePlugin({ name: '${name}', config: { type: 'object' }, setup: () => ({ onRequest: () => reply(${status}) }) })`

/** What is said of a plugin that a gateway.yaml there names. */
async function problemOf(folder: string, name: string) {
  const file = join(folder, 'gateway.yaml')
  await writeFile(file, `plugins: ["${name}"]\n`)
  const { problems } = await loadConfig(file, { plugins: pluginSource, env: {} })
  assert.equal(problems.length, 1, JSON.stringify(problems))
  return problems[0]!
}

describe("the house's modules", () => {
  test('are the same for a plugin that lies anywhere, in TypeScript and in JavaScript', async () => {
    await using there = await place({
      'own/index.ts': `import type { Plugin } from 'postern/plugin'
        import { definePlugin } from 'postern/plugin'
        import { Secret } from './again.ts'
        export default { ...definePlugin({ name: 'own', config: { type: 'object' }, setup: () => ({}) }), Secret, definePlugin } as Plugin`,
      'own/again.ts': `export { Secret } from 'postern/plugin'`,
      'plain/index.js': `import { defineProvider } from 'postern/provider'
        import { guard } from 'postern/access'
        export default { ...defineProvider({ name: 'plain', description: '', url: null, dialect: () => ({}) }), guard }`,
    })
    const own: object = await pluginSource.load('./own', there.folder)
    assert.ok('definePlugin' in own && own.definePlugin === definePlugin)
    assert.ok('Secret' in own && own.Secret === (await import('./secret.ts')).Secret)
    const plain: object = await pluginSource.load('./plain', there.folder)
    assert.ok('guard' in plain && plain.guard === (await import('./access.ts')).guard)
  })

  test('are not those of a second Postern that a package has brought along', async () => {
    await using there = await place({
      'node_modules/@scope/x/package.json': '{"name":"@scope/x","type":"module","exports":{"import":"./main.js"}}',
      'node_modules/@scope/x/main.js': `import { definePlugin } from 'postern/plugin'
        export default { ...definePlugin({ name: 'x', config: { type: 'object' }, setup: () => ({}) }), definePlugin }`,
      'node_modules/postern/package.json': '{"name":"postern","exports":{"./plugin":"./other.js"}}',
      'node_modules/postern/other.js': 'export const definePlugin = () => { throw new Error("the wrong one") }',
    })
    const plugin: object = await pluginSource.load('@scope/x', there.folder)
    assert.ok('definePlugin' in plugin && plugin.definePlugin === definePlugin)
  })
})

describe('a plugin of others that cannot be used is told with its cure', () => {
  const cases: readonly {
    what: string
    name: string
    files: Readonly<Record<string, string>>
    message: RegExp
    cure?: RegExp
  }[] = [
    {
      what: 'throws when it is imported',
      name: './bad',
      files: { 'bad/index.js': 'throw new Error("no moon tonight")' },
      message: /"\.\/bad" cannot be loaded: it fails when it is imported: no moon tonight/,
    },
    {
      what: 'is no plugin',
      name: './bad',
      files: { 'bad/index.js': 'export default 1' },
      message: /no default export made by definePlugin or defineProvider$/,
    },
    {
      what: 'has no name',
      name: './bad',
      files: { 'bad/index.js': 'export default { setup() {} }' },
      message: /defineProvider: it has no name/,
    },
    {
      what: 'does not say its facts',
      name: './bad',
      files: { 'bad/index.js': 'export default { name: "bad", config: {}, setup() {} }' },
      message: /which facts/,
    },
    {
      what: 'is TypeScript inside node_modules',
      name: '@scope/typed',
      files: {
        'node_modules/@scope/typed/package.json': '{"name":"@scope/typed","type":"module","exports":"./index.ts"}',
        'node_modules/@scope/typed/index.ts': answers('typed', 200),
      },
      message: /TypeScript inside node_modules, which Node does not run/,
      cure: /Publish it as JavaScript .* or take it in as \.\/FOLDER/,
    },
    {
      what: 'is not installed',
      name: '@scope/absent',
      files: {},
      message: /no such package is installed/,
      cure: /npm install @scope\/absent/,
    },
    {
      what: 'lacks something it imports',
      name: './bad',
      files: { 'bad/index.js': "import 'nothing-of-this-name'" },
      message: /nothing-of-this-name/,
    },
    {
      what: 'stands where files are no ES modules',
      name: './bad',
      files: { 'package.json': '{"type":"commonjs"}', 'bad/index.js': answers('bad', 200) },
      message: /it is an ES module, and the package\.json around it says/,
      cure: /"type": "module"/,
    },
    { what: 'is an empty folder', name: './bad', files: { 'bad/x.txt': '' }, message: /no index\.ts or index\.js in / },
    {
      what: 'was written for an older contract',
      name: './bad',
      files: { 'bad/index.js': answers('bad', 200).replace("name: 'bad'", "contract: '0.9', name: 'bad'") },
      message: /written for version 0\.9 of the contract, and this Postern keeps \d/,
      cure: /Ask its author/,
    },
    {
      what: 'was written for a newer contract',
      name: './bad',
      files: { 'bad/index.js': answers('bad', 200).replace("name: 'bad'", "contract: '1.99', name: 'bad'") },
      message: /version 1\.99/,
      cure: /Update Postern/,
    },
    {
      what: 'names a contract that is none',
      name: './bad',
      files: { 'bad/index.js': answers('bad', 200).replace("name: 'bad'", "contract: 'latest', name: 'bad'") },
      message: /"latest" is no version/,
    },
  ]
  for (const { what, name, files, message, cure = /^/ } of cases) {
    test(`that ${what}`, async () => {
      await using there = await place(files)
      const problem = await problemOf(there.folder, name)
      assert.equal(problem.code, 'CONFIG_PLUGIN')
      assert.match(problem.message, message)
      assert.doesNotMatch(problem.message, /\n/)
      assert.match(problem.cure ?? '', cure)
    })
  }
})

describe('a reload', () => {
  test('refuses a plugin that fails and keeps the old gateway, and takes it when it was mended', async () => {
    await using there = await place({ 'own/index.ts': answers('own', 201), 'own/part.ts': '' })
    const list = 'plugins: [openai, ./own]'
    await using gw = await gateway(list, { folder: there.folder })
    const status = async () => (await fetch(`${gw.url}/v1/models`)).status
    assert.equal(await status(), 201)

    const change = async (text: string, at: number) => {
      await there.write('own/index.ts', text)
      // A clock that stands still between two writes would hide the second one.
      await utimes(join(there.folder, 'own/index.ts'), at, at)
    }
    const soon = Math.round(Date.now() / 1000)
    await change('throw new Error("half written")', soon + 1)
    const [problem] = await gw.reload(list)
    assert.match(problem?.message ?? '', /half written/)
    assert.equal(await status(), 201, 'the old one runs on')

    await change(answers('own', 202), soon + 2)
    assert.deepEqual(await gw.reload(list), [])
    assert.equal(await status(), 202)
  })

  test('reads what a changed plugin imports beside it again', async () => {
    const main = `import { status } from './part.ts'\n${answers('own', 0).replace('reply(0)', 'reply(status)')}`
    await using there = await place({ 'own/index.ts': main, 'own/part.ts': 'export const status = 201' })
    const list = 'plugins: [openai, ./own]'
    await using gw = await gateway(list, { folder: there.folder })
    assert.equal((await fetch(`${gw.url}/v1/models`)).status, 201)
    await there.write('own/part.ts', 'export const status = 203')
    const later = Math.round(Date.now() / 1000) + 5
    await utimes(join(there.folder, 'own/part.ts'), later, later)
    assert.deepEqual(await gw.reload(list), [])
    assert.equal((await fetch(`${gw.url}/v1/models`)).status, 203)
  })

  test('leaves an unchanged plugin the very module it was', async () => {
    await using there = await place({ 'own/index.ts': answers('own', 201) })
    const first = await pluginSource.load('./own', there.folder)
    assert.equal(await pluginSource.load('./own', there.folder), first)
  })
})

describe('the version of the contract', () => {
  test('is kept for everything of its first number that is not newer', () => {
    for (const [written, kept] of [
      ['1.0', '1.0'],
      ['1.0', '1.7'],
      ['1.7.3', '1.7'],
    ] as const)
      assert.equal(contractProblem(written, kept), null, `${written} ${kept}`)
    for (const [written, kept, cure] of [
      ['1.8', '1.7', /Update/],
      ['2.0', '1.7', /Update/],
      ['1.7', '2.0', /Ask its author/],
      ['1', '1.0', /Write contract: '1\.0'/],
    ] as const)
      assert.match(contractProblem(written, kept)?.cure ?? '', cure, `${written} ${kept}`)
    assert.equal(contractProblem(contractVersion), null)
  })
})
