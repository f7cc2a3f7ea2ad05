/** Files that gateway.yaml names, watched beside it. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { until } from '../../test/conformance/websocket-upstream.ts'
import { parse } from './load.fixture.ts'
import { watchConfig } from './watch.ts'

/** A gateway.yaml and a file in another folder, and how often either was told of. */
async function watching(options = { debounce: 20, poll: 600_000 }) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-watch-files-'))
  const [main, file] = [join(folder, 'gateway.yaml'), join(folder, 'secrets', 'key')]
  await mkdir(join(folder, 'secrets'))
  await writeFile(main, 'one')
  await writeFile(file, 'one')
  let told = 0
  const watch = await watchConfig(main, () => void told++, options)
  return {
    main,
    file,
    watch,
    told: () => told,
    async [Symbol.asyncDispose]() {
      await watch.close()
      await rm(folder, { recursive: true })
    },
  }
}

const read = (file: string, text: string | null) => new Map([[file, text === null ? null : hash('sha256', text)]])

describe('a file that gateway.yaml names', () => {
  test('is told of when it changes, in place or by another that takes its name', async () => {
    await using watched = await watching()
    watched.watch.follow(read(watched.file, 'one'))
    await writeFile(watched.file, 'two')
    await until(() => watched.told() === 1)
    watched.watch.follow(read(watched.file, 'two'))
    await writeFile(`${watched.file}.new`, 'three')
    await rename(`${watched.file}.new`, watched.file)
    await until(() => watched.told() === 2)
  })

  test('is told of where it changed between the reading and the watching', async () => {
    await using watched = await watching()
    await writeFile(watched.file, 'two')
    watched.watch.follow(read(watched.file, 'one'))
    await until(() => watched.told() === 1)
  })

  test('is told of when it comes to be there', async () => {
    await using watched = await watching()
    await rm(watched.file)
    watched.watch.follow(read(watched.file, null))
    await writeFile(watched.file, 'one')
    await until(() => watched.told() === 1)
  })

  test('is not told of while it is missing or empty, nor when it says the same again', async () => {
    await using watched = await watching({ debounce: 10, poll: 10 })
    watched.watch.follow(read(watched.file, 'one'))
    await writeFile(watched.file, '')
    await writeFile(watched.file, 'one')
    await rm(watched.file)
    await writeFile(watched.file, 'one')
    // Whatever was to be told of it would have been told with this.
    await writeFile(watched.main, 'two')
    await until(() => watched.told() > 0)
    assert.equal(watched.told(), 1)
  })

  test('is let go when gateway.yaml names it no more', async () => {
    await using watched = await watching({ debounce: 10, poll: 10 })
    watched.watch.follow(read(watched.file, 'one'))
    watched.watch.follow(new Map())
    await writeFile(watched.file, 'two')
    await writeFile(watched.main, 'two')
    await until(() => watched.told() > 0)
    assert.equal(watched.told(), 1)
  })

  test('is told by its path and the hash of its bytes when gateway.yaml is read', async () => {
    await using watched = await watching()
    await writeFile(watched.file, 'a key that is long\n')
    const text = (path: string) => `keys:\n  - { name: a, key: "file:${path}" }\n`
    const { config, files } = await parse(text(watched.file))
    assert.notEqual(config, null)
    assert.deepEqual([...files], [[watched.file, hash('sha256', 'a key that is long\n')]])
    const missing = await parse(text(`${watched.file}.none`))
    assert.equal(missing.config, null)
    assert.deepEqual([...missing.files], [[`${watched.file}.none`, null]])
    await writeFile(watched.file, Buffer.alloc(2 ** 20 + 1, 'x'))
    const large = await parse(text(watched.file))
    assert.deepEqual([large.config, [...large.files]], [null, []])
  })
})
