/**
 * The image as far as it can be run without Docker: the commands of its build stage on what the build may see, and the container word
 * for word, with BusyBox and the Node that Alpine has. Run with `node --test --test-isolation=none test/slow/image.slow.ts`; a minute or two.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { hashOf } from '../bill.ts'
import { runBundle } from '../bundle-runs.ts'
import { copiesOf, envOf, healthcheckOf, ignoring, parseDockerfile, textOf, wordsOf } from '../dockerfile.ts'
import { alpine } from '../image-budget.ts'
import { until } from '../redis.ts'
import { Container, copyInto, makeRoot, nodeOf, whyNoContainer } from './container.fixture.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const [build, image] = parseDockerfile(read('Dockerfile'))
assert.ok(build && image)
const isIgnored = ignoring(read('.dockerignore'))
const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } } // our own file

const folder = mkdtempSync(join(tmpdir(), 'postern-image-'))
after(() => rmSync(folder, { recursive: true }))
const made = join(folder, 'stage/build/dist')

/** Runs the stage in `stage`, which stands for the root. Alpine's own commands are left out. Returns those. */
function runBuild(stage: string, node: string): readonly string[] {
  const leftOut: string[] = []
  let cwd = stage
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}`, npm_config_prefer_offline: 'true' }
  for (const { name, text } of build!.instructions) {
    if (name === 'WORKDIR') mkdirSync((cwd = join(stage, text)), { recursive: true })
    else if (name === 'COPY') copy(text.split(' '), cwd)
    else if (name !== 'RUN') throw new Error(`${name} is not known here`)
    else if (/^apk |^npm install --global /.test(text)) leftOut.push(text)
    else execFileSync('sh', ['-c', text], { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return leftOut
}

/** COPY, of what .dockerignore lets in. */
function copy(words: readonly string[], cwd: string): void {
  const to = resolve(cwd, words.at(-1) ?? '')
  for (const source of words.slice(0, -1)) {
    const from = join(root, source)
    const place = statSync(from).isDirectory() ? to : join(to, basename(source))
    cpSync(from, place, { recursive: true, filter: (path) => !isIgnored(relative(root, path)) })
  }
}

describe('the build stage', () => {
  test('makes the bundle of nothing but what it copies, the same bytes as here, on the Node of Alpine', () => {
    const leftOut = runBuild(join(folder, 'stage'), nodeOf(alpine.node))
    assert.deepEqual(leftOut, ['apk add --no-cache nodejs npm', 'npm install --global --no-audit --no-fund npm@11'])
    const here = join(folder, 'here')
    execFileSync(process.execPath, ['bin/build.js', '--no-types', `--out=${here}`], { cwd: root })
    assert.equal(hashOf(made), hashOf(here))
  })
})

describe('the bundle', () => {
  for (const version of [engines.node.replace('>=', '').concat('.0'), alpine.node])
    test(`runs on Node ${version}`, () => runBundle(nodeOf(version), made))

  test('says on Node 20 what it needs', () => {
    const { status, stderr } = spawnSync(nodeOf('20.20.2'), [join(made, 'bin/postern.js'), 'run'], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [1, 'postern needs Node 22.12 or newer; this is 20.20.2.\n'])
  })
})

describe('the container', { skip: whyNot() }, () => {
  const place = join(folder, 'root')
  before(() => {
    makeRoot(place, nodeOf(alpine.node))
    for (const { sources, to } of copiesOf(image)) copyInto(place, join(folder, 'stage', sources[0] ?? ''), to)
    const data = join(place, textOf(image, 'VOLUME'))
    mkdirSync(data, { recursive: true })
    const [user, group] = textOf(image, 'USER').split(':').map(Number)
    chownSync(data, user!, group!)
  })
  const start = () =>
    new Container({
      root: place,
      user: textOf(image, 'USER'),
      folder: textOf(image, 'WORKDIR'),
      words: [...wordsOf(image, 'ENTRYPOINT'), ...wordsOf(image, 'CMD')],
      env: envOf(image),
    })

  test(
    'answers at its port, is well by its own check, reloads and ends as it is told',
    { timeout: 60_000 },
    async () => {
      await using container = start()
      const { command } = healthcheckOf(image)
      await container.says(/"msg":"listening"/)
      assert.equal(container.run(command).code, 0, container.log)
      assert.equal(container.run(command, { http_proxy: 'http://127.0.0.1:9' }).code, 0, 'a proxy is not asked')
      const port = textOf(image, 'EXPOSE')
      const body = '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'
      const asked = `wget -q -Y off -O - --header 'content-type: application/json' --post-data '${body}' http://127.0.0.1:${port}/v1/chat/completions`
      assert.match(container.run(asked).out, /"chat\.completion"/)
      assert.equal(container.run(`touch ${textOf(image, 'VOLUME')}/written`).code, 0)
      assert.notEqual(container.run('touch /app/written || touch /etc/postern/written').code, 0)
      appendFileSync(join(place, wordsOf(image, 'CMD').at(-1) ?? ''), '# changed\n')
      container.signal('SIGHUP')
      await container.says(/the new configuration is running/)
      container.signal('SIGTERM')
      assert.equal(await container.end(), 0, container.log)
      assert.match(container.log, /"signal":"SIGTERM"/)
    },
  )

  test('is not well where nobody answers', { timeout: 60_000 }, async () => {
    const { command, url } = healthcheckOf(image)
    await using container = start()
    await container.says(/"msg":"listening"/)
    assert.notEqual(container.run(command.replace(url.port, '8789')).code, 0)
  })

  test('ends when it is told so while it is still starting', { timeout: 60_000 }, async () => {
    await using container = start()
    // Node's own handler resets the terminal and raises the signal again, which process 1 does not hear: ours has to be there.
    await until(() => {
      container.signal('SIGTERM')
      return container.hasEnded
    })
    assert.equal(await container.end(), 143, container.log)
    assert.doesNotMatch(container.log, /"msg":"listening"/)
  })
})

/** CI has to run it. */
function whyNot(): string | false {
  const why = whyNoContainer()
  if (why !== null && process.env.CI) throw new Error(why)
  return why ?? false
}
