/** Documents that cannot lie. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parseConfig } from '../core/config/load.ts'
import { pluginSource } from '../core/plugins.ts'
import { generated } from './generated.ts'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

describe('what is generated', async () => {
  for (const [path, text] of await generated()) {
    test(`${path} is fresh`, () => assert.equal(read(path), text, 'stale: npm run generate'))
  }
})

describe('gateway.yaml', () => {
  test('as it ships is well, with and without keys', async () => {
    for (const env of [{}, { OPENAI_API_KEY: 'a', ANTHROPIC_API_KEY: 'b', GEMINI_API_KEY: 'c' }]) {
      const { config, problems } = await parseConfig(read('gateway.yaml'), 'gateway.yaml', {
        plugins: pluginSource,
        env,
      })
      assert.deepEqual(problems, [])
      assert.equal(config?.upstreams.length, Object.keys(env).length)
    }
  })

  test('in the README is well, but for the files that only its readers have', async () => {
    const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(read('README.md')) ?? []
    const known = yaml.replace(/^ *- \.\/our-plugins.*$/m, '').replace('"file:/run/secrets/claude-b"', 'x')
    const { problems } = await parseConfig(known, 'gateway.yaml', { plugins: pluginSource, env: { CLAUDE_A: 'a' } })
    assert.deepEqual(problems, [])
    assert.ok(known.includes('deepseek'))
  })
})

describe('the README', () => {
  test('names every plugin', () => {
    for (const name of pluginSource.names) assert.ok(read('README.md').includes(`plugins/${name}/README.md`), name)
  })

  test('shows pictures that are there, and none that is slow to come', () => {
    const pictures = [...read('README.md').matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, path = '']) => path)
    assert.ok(pictures.length > 0)
    for (const path of pictures) {
      const bytes = readFileSync(new URL(`../${path}`, import.meta.url))
      assert.equal(bytes.toString('latin1', 1, 4), 'PNG', path)
      assert.ok(bytes.length <= 150 * 1024, `${path} has ${bytes.length} bytes`)
    }
  })

  test('names only commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> } // our own file
    for (const [, script = ''] of read('README.md').matchAll(/npm run (?:-s )?(\w+)/g))
      assert.ok(scripts[script], script)
  })
})
