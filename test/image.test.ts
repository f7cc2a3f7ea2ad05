/** The image, as far as it can be held without a container: what Dockerfile, .dockerignore, gateway.yaml and the build say of each other. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseConfig } from '../core/config/load.ts'
import { parseListen } from '../core/config/formats.ts'
import { pluginSource } from '../core/plugins.ts'
import { copiesOf, envOf, healthcheckOf, ignoring, parseDockerfile, textOf, textsOf, wordsOf } from './dockerfile.ts'
import { gateway } from './harness.ts'
import { alpine, budget, bundleAllowance, sumOf, weighLayer } from './image-budget.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const [build, image, ...others] = parseDockerfile(read('Dockerfile'))
assert.ok(build && image)
const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } } // our own file

/** The admin listener of a configuration, where the image runs it. */
async function adminOf(text: string): Promise<string> {
  const { config } = await parseConfig(text, 'gateway.yaml', { plugins: pluginSource, env: envOf(image!) })
  assert.ok(config?.settings.admin)
  return config.settings.admin.listen
}

describe('the image', () => {
  test('is made in two stages of one Alpine', () => {
    assert.deepEqual(others, [])
    assert.deepEqual(
      [build.name, build.base, image.base],
      ['build', `alpine:${alpine.release}`, `alpine:${alpine.release}`],
    )
    assert.equal(
      parseDockerfile(read('Dockerfile').replace(/^ARG ALPINE=.*/m, 'ARG ALPINE=9.9'))[1]?.base,
      'alpine:9.9',
    )
  })

  test('holds Node, certificates, time zones and the bundle, and nothing of what made it', () => {
    const [installs, ...rest] = textsOf(image, 'RUN')
    assert.deepEqual(rest, [])
    assert.match(installs ?? '', /^apk add --no-cache nodejs ca-certificates tzdata && mkdir -p \S+ && chown \S+ \S+$/)
    for (const { from, sources } of copiesOf(image)) {
      assert.equal(from, 'build')
      for (const source of sources) assert.match(source, /^\/build\/dist(\/|$)/)
    }
    assert.doesNotMatch(read('Dockerfile'), /curl|\bADD\b/)
  })

  test('runs as nobody, who may write into the volume alone', () => {
    assert.match(textOf(image, 'USER'), /^[1-9]\d*:[1-9]\d*$/) // numbers: Kubernetes' runAsNonRoot can read no names
    const folder = textOf(image, 'VOLUME')
    assert.equal(textOf(image, 'WORKDIR'), folder)
    assert.ok(textOf(image, 'RUN').endsWith(`mkdir -p ${folder} && chown ${textOf(image, 'USER')} ${folder}`))
  })

  test('asks for health where the admin listener is by default, and in the shipped file', async () => {
    const { command, url } = healthcheckOf(image)
    assert.equal(url.host, await adminOf('plugins: [openai]\n'))
    assert.equal(url.host, await adminOf(read('gateway.yaml')))
    assert.match(command, /^wget -q -Y off -O \/dev\/null http:\S+ \|\| exit 1$/)
    await using gw = await gateway({ plugins: ['openai', 'demo'] })
    assert.equal((await fetch(`${gw.adminUrl}${url.pathname}`)).status, 200)
  })

  test('is reached at the port of the shipped file', async () => {
    const { listen } = (await parseConfig(read('gateway.yaml'), 'gateway.yaml', { plugins: pluginSource, env: {} }))
      .config!.settings
    const place = parseListen(envOf(image)['POSTERN_LISTEN'] ?? '')
    const usual = parseListen(listen)
    assert.ok(place && usual && 'port' in place && 'port' in usual)
    assert.deepEqual([place.host, place.port], ['0.0.0.0', usual.port])
    assert.equal(textOf(image, 'EXPOSE'), String(place.port))
  })

  test('has a Node that package.json takes, and the build makes what that runs', () => {
    const needed = engines.node.replace('>=', '')
    assert.ok(numberOf(alpine.node) >= numberOf(needed), `${alpine.node} is older than ${needed}`)
    assert.match(read('bin/build.js'), new RegExp(`target: 'node${needed}'`))
    assert.match(textsOf(build, 'RUN').join('\n'), /npm@11/, `npm ${alpine.npm} is refused by devEngines`)
  })

  function numberOf(version: string): number {
    const [major = 0, minor = 0] = version.split('.').map(Number)
    return major * 1000 + minor
  }
})

describe('.dockerignore', () => {
  const isIgnored = ignoring(read('.dockerignore'))
  const copied = copiesOf(build).flatMap(({ sources }) => sources)

  test('lets in what is copied, which is there', () => {
    for (const source of copied) {
      assert.ok(existsSync(join(root, source)), `${source} is not there`)
      assert.ok(!isIgnored(source), `${source} is kept out`)
    }
  })

  test('keeps everything else out', () => {
    for (const entry of [...readdirSync(root), '.env', '.npmrc', 'data', 'cert.key'])
      assert.equal(isIgnored(entry), !copied.includes(entry), entry)
  })

  test('keeps out tests and benchmarks of what is copied, and no source of the build', () => {
    const within = copied.flatMap((source) => globSync(`${source}/**/*.ts`, { cwd: root }))
    assert.ok(within.length > 300)
    for (const path of within) assert.equal(isIgnored(path), /\.(test|bench|fixture)\.ts$/.test(path), path)
  })
})

describe('the bundle of the image', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-image-'))
  const app = join(folder, 'app')
  before(() => {
    const [, words = ''] = /^node (bin\/build\.js.*)$/.exec(textsOf(build, 'RUN').at(-1) ?? '') ?? []
    execFileSync(process.execPath, [...words.split(' '), `--out=${app}`], { cwd: root })
  })
  after(() => rmSync(folder, { recursive: true }))
  const inApp = (path: string) => path.replace(/^\/app(?=\/)/, app)

  test('has what ENTRYPOINT starts, with the folder it is copied to', () => {
    assert.ok(copiesOf(image).some(({ sources, to }) => sources[0] === '/build/dist' && to === '/app'))
    const [program, file = '', ...rest] = wordsOf(image, 'ENTRYPOINT')
    assert.deepEqual([program, rest], ['node', []])
    assert.ok(existsSync(inApp(file)), file)
    const [command, option, config] = wordsOf(image, 'CMD')
    assert.deepEqual([command, option], ['run', '--config'])
    assert.ok(copiesOf(image).some(({ sources, to }) => sources[0] === '/build/dist/gateway.yaml' && to === config))
    assert.ok(existsSync(join(app, 'gateway.yaml')))
    assert.match(execFileSync(process.execPath, [inApp(file), '--version'], { encoding: 'utf8' }), /^\d+\.\d+\.\d+\n$/)
  })

  test('holds no source, no map, no test, and no place of the machine that built it', () => {
    const files = readdirSync(app, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    assert.ok(files.length > 50)
    for (const { name, parentPath } of files) {
      assert.doesNotMatch(name, /\.(ts|map)$|\.test\./, `${parentPath}/${name}`)
      assert.ok(!readFileSync(join(parentPath, name)).includes(root), `${parentPath}/${name}`)
    }
  })

  test('says to an older Node what it needs', () => {
    const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.11.0' } })`
    const preload = `data:text/javascript,${encodeURIComponent(older)}`
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', preload, join(app, 'bin/postern.js'), '--version'],
      { encoding: 'utf8' },
    )
    assert.equal(status, 1)
    assert.equal(stderr, `postern needs Node ${engines.node.replace('>=', '')} or newer; this is 22.11.0.\n`)
  })

  test('leaves the image within its budget', () => {
    const { compressed, installed } = weighLayer(app)
    assert.ok(compressed > 500_000, 'something is not in it')
    assert.ok(compressed <= bundleAllowance, `the bundle has ${compressed} bytes of ${bundleAllowance}`)
    assert.ok(installed <= 4 * bundleAllowance, `the bundle unpacked has ${installed} bytes`)
    const all = sumOf('compressed') + bundleAllowance
    assert.ok(all <= budget, `the image has ${all} bytes of ${budget}`)
  })
})
