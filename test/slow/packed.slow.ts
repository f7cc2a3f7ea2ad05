/** The package as it is published, in the hands of somebody who has nothing else: no repository, no toolchain but npm's. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'postern-packed-'))
/** Every file of the package is one of these, and each of these is there. */
const kinds = [
  /^bin\/(compiled|postern)\.js$/,
  /^core\/(access|main|plugin|provider|testing)\.js$/,
  /^core\/[\w.-]+-[0-9A-Z]{8}\.js$/, // what they share, and what is loaded when it is asked for
  /^plugins\/[a-z-]+\/index\.js$/,
  /^plugins\/console\/page\/\w+\.(css|html|js)$/,
  /^plugins\/usage\/prices\.json$/,
  /^migrations\/(README\.md|\d{4}_\w+\.sql)$/,
  /^types\/core\/[\w/-]+\.d\.ts$/,
  /^(LICENSE|README\.md|THIRD-PARTY-LICENSES\.txt|gateway\.yaml|package\.json|sbom\.cdx\.json)$/,
]
/** The Node that runs this, first of all. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}`, NODE_TEST_CONTEXT: undefined }

const { version, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
  devDependencies: Record<string, string>
} // our own file
const tools = ['typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`)
const install = ['install', '--no-audit', '--no-fund', '--prefer-offline']

interface Ended {
  readonly code: number
  readonly out: string
}

function run(program: string, words: readonly string[], cwd = folder): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(program, words, { cwd, env, maxBuffer: 2 ** 26 }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out: out + err }),
    )
  })
}

/** The same, for what has to go well. */
async function well(program: string, words: readonly string[], cwd = folder): Promise<string> {
  const { code, out } = await run(program, words, cwd)
  assert.equal(code, 0, `${program} ${words.join(' ')}\n${out}`)
  return out
}

/** What is in a folder: every file's path and hash. */
function fingerprint(at: string): readonly string[] {
  return readdirSync(at, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => `${relative(at, file)} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`)
    .toSorted()
}

describe('the package', () => {
  before(async () => {
    await well(process.execPath, [join(root, 'bin/build.js')], root)
    await well('npm', ['pack', join(root, 'dist'), '--pack-destination', folder])
    writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
    await well('npm', [...install, `./postern-${version}.tgz`])
  })
  after(() => rmSync(folder, { recursive: true }))

  test('is the same to the byte when it is built again, and names no place of this machine', async () => {
    const first = fingerprint(join(root, 'dist'))
    await well(process.execPath, [join(root, 'bin/build.js')], root)
    assert.deepEqual(fingerprint(join(root, 'dist')), first)
    for (const line of first) {
      const file = join(root, 'dist', line.split(' ')[0]!)
      assert.ok(!readFileSync(file).includes(root), file)
      assert.doesNotMatch(file, /\.map$/)
    }
  })

  test('holds what runs, the types of the contract, the licences, and nothing else', async () => {
    const told = await well('npm', ['pack', join(root, 'dist'), '--dry-run', '--json', '--loglevel=error'])
    const files = [...told.matchAll(/"path": "([^"]+)"/g)].map(([, path = '']) => path)
    assert.deepEqual(
      files.filter((file) => !kinds.some((kind) => kind.test(file))),
      [],
    )
    for (const kind of kinds)
      assert.ok(
        files.some((file) => kind.test(file)),
        String(kind),
      )
  })

  test('runs by npx', async () => {
    assert.match(await well('npx', ['postern', '--version']), /^\d+\.\d+\.\d+$/m)
    writeFileSync(join(folder, 'gateway.yaml'), 'plugins: [openai, demo]\n')
    assert.match(await well('npx', ['postern', 'check']), /is well: 2 plugins/)
    assert.match(await well('npx', ['postern', 'explain']), /^openai {2}\//m)
  })

  describe('for the author of a plugin', () => {
    before(() => well('npm', [...install, ...tools]))

    for (const kind of ['plugin', 'provider']) {
      test(`makes a ${kind} whose types, test and benchmark are well as they are`, async () => {
        const name = `own-${kind}`
        await well('npx', ['postern', 'new', kind, name])
        const at = join(folder, 'our-plugins', name)
        await well('npm', ['run', 'check'], at)
        assert.match(await well('npm', ['test'], at), /fail 0/)
        assert.match(await well('npm', ['run', 'bench'], at), /1\.00 x/)
        writeFileSync(join(folder, 'gateway.yaml'), `plugins: [./our-plugins/${name}, openai]\n`)
        assert.match(await well('npx', ['postern', 'check']), /is well: 2 plugins/)
        await well('npx', ['postern', 'schema'])
        assert.match(readFileSync(join(folder, 'gateway.schema.json'), 'utf8'), new RegExp(`"./our-plugins/${name}"`))
      })
    }

    test('takes a plugin that was built to JavaScript from a package, and says what to do with one that was not', async () => {
      const at = join(folder, 'our-plugins', 'own-plugin')
      await well('npm', ['run', 'build'], at)
      await well('npm', [...install, '--install-links', at])
      cpSync(at, join(folder, 'node_modules', '@scope', 'built'), { recursive: true })
      writeFileSync(join(folder, 'gateway.yaml'), "plugins: ['@scope/built', openai]\n")
      assert.match(await well('npx', ['postern', 'check']), /is well: 2 plugins/)
      writeFileSync(join(folder, 'gateway.yaml'), "plugins: ['@scope/built/index.ts', openai]\n")
      const manifest = join(folder, 'node_modules/@scope/built/package.json')
      writeFileSync(
        manifest,
        readFileSync(manifest, 'utf8').replace('"./dist/index.js"', '{"./index.ts":"./index.ts"}'),
      )
      const { code, out } = await run('npx', ['postern', 'check'])
      assert.equal(code, 1)
      assert.match(out, /TypeScript inside node_modules, which Node does not run/)
    })

    for (const name of ['lighthouse', 'quill', 'tenant']) {
      test(`compiles, tests and measures the example ${name}, in less than a hundred lines`, async () => {
        const at = join(folder, 'our-plugins', name)
        cpSync(join(root, 'docs/examples', name), at, { recursive: true })
        cpSync(join(folder, 'our-plugins/own-plugin/tsconfig.json'), join(at, 'tsconfig.json'))
        await well('npx', ['tsc', '-p', join(at, 'tsconfig.json')])
        assert.match(await well(process.execPath, ['--test', `${name}.test.ts`], at), /fail 0/)
        assert.match(await well(process.execPath, [`${name}.bench.ts`], at), /1\.00 x/)
        const files = ['index.ts', `${name}.test.ts`, `${name}.bench.ts`].map((file) =>
          readFileSync(join(at, file), 'utf8'),
        )
        assert.ok(files.join('').split('\n').length - 1 < 100, name)
      })
    }

    test('a mistake in a plugin is an error of the compiler', async () => {
      const at = join(folder, 'our-plugins', 'tenant')
      const source = readFileSync(join(at, 'index.ts'), 'utf8')
      writeFileSync(join(at, 'index.ts'), source.replace("writes: ['tenant']", 'writes: []'))
      const { code, out } = await run('npx', ['tsc', '-p', join(at, 'tsconfig.json')])
      assert.notEqual(code, 0)
      assert.match(out, /index\.ts.*tenant/)
    })
  })
})
