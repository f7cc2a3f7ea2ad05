import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { describe, test } from 'node:test'
import { pluginSource } from '../plugins.ts'
import { parseConfig } from './load.ts'
import { needsRestart } from './restart.ts'
import { workersOf } from './workers.ts'

/** Every problem of a text, as place and message, and what to do. */
async function problemsOf(text: string): Promise<string[]> {
  const { problems } = await parseConfig(text, 'gateway.yaml', { plugins: pluginSource, env: {} })
  return problems.map(({ line, column, message, cure }) => `${line}:${column} ${message} | ${cure}`)
}

async function configOf(text: string) {
  const { config, problems } = await parseConfig(text, 'gateway.yaml', { plugins: pluginSource, env: {} })
  assert.deepEqual(problems, [])
  return config!
}

describe('workers', () => {
  test('is one where nothing is said, a number, or as many as there are cores', async () => {
    assert.equal(workersOf((await configOf('plugins: []')).settings), 1)
    assert.equal(workersOf((await configOf('workers: 3')).settings), 3)
    assert.equal(workersOf((await configOf('workers: auto')).settings), Math.min(64, availableParallelism()))
  })

  for (const wrong of ['0', '65', '1.5', 'many', '"3"', '[2]', 'true']) {
    test(`is not ${wrong}`, async () => {
      const [problem, ...others] = await problemsOf(`listen: :1\nworkers: ${wrong}\n`)
      assert.match(problem ?? '', /^2:10 workers must be/)
      assert.deepEqual(others, [])
    })
  }

  test('wants a shared store where plugins have to know the same, each named with its place', async () => {
    const text = [
      'workers: 2',
      'plugins:',
      '  - openai',
      '  - sticky-session',
      '  - concurrency: {}',
      '  - failover',
      '  - metadata-bridge',
      '  - sora',
      '',
    ].join('\n')
    const cure = 'Set store: redis://HOST:PORT, or workers: 1'
    const why = "has to know the same in all workers, and store: memory is each worker's own"
    assert.deepEqual(await problemsOf(text), [
      `4:5 sticky-session ${why} | ${cure}`,
      `5:5 concurrency ${why} | ${cure}`,
      `6:5 failover ${why} | ${cure}`,
      `7:5 metadata-bridge ${why} | ${cure}`,
      `8:5 sora ${why} | ${cure}`,
    ])
    assert.deepEqual(await problemsOf(`store: redis://127.0.0.1:1\n${text}`), [])
    assert.deepEqual(await problemsOf(text.replace('workers: 2', 'workers: 1')), [])
  })

  test('wants a database where plugins count in it, and one that is not a child of a single process', async () => {
    const text = 'workers: 2\nplugins: [openai, usage]\n'
    assert.deepEqual(await problemsOf(text), [
      '2:19 usage has to know the same in all workers, and there is no database | Set database: postgres://…, or workers: 1',
    ])
    assert.deepEqual(await problemsOf(`database: postgres://u@h/n\n${text}`), [])
    for (const embedded of ['embedded', 'embedded:data/pg'])
      assert.deepEqual(await problemsOf(`database: ${embedded}\n${text}`), [
        '1:11 an embedded database belongs to one process, and workers is 2 | Set database: postgres://…, or workers: 1',
      ])
  })

  test('are several with auto on every machine: what is wrong does not depend on where it is read', async () => {
    assert.equal((await problemsOf('workers: auto\nplugins: [openai, failover]\n')).length, 1)
    assert.equal((await problemsOf('workers: auto\ndatabase: embedded\n')).length, 1)
    assert.deepEqual(await problemsOf('workers: auto\nplugins: [openai, api-key-auth, console]\n'), [])
  })

  test('change at the next start', async () => {
    const [one, two] = [await configOf('workers: 1'), await configOf('workers: 2')]
    assert.deepEqual(needsRestart(one, two), ['workers has changed: it takes effect at the next start'])
    assert.deepEqual(needsRestart(two, two), [])
  })
})
