import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { assertWritable, RotatingFile } from './file-sink.ts'

/** A file in a folder of its own, closed and removed at the end of the block. */
async function temporary(): Promise<AsyncDisposable & { file: RotatingFile; path: string; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-sink-'))
  const path = join(folder, 'a', 'b', 'errors.jsonl')
  const file = new RotatingFile(path)
  return {
    file,
    path,
    folder,
    async [Symbol.asyncDispose]() {
      await file.close()
      await rm(folder, { recursive: true })
    },
  }
}
const line = (text: string) => Buffer.from(`${text}\n`)
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => line(String(from + at).padStart(9, '0')))
const wide = { maxSize: 1e6, keep: 3 }

describe('a rotating file', () => {
  test('is made with its folder by the first line, and opened for more by the next process', async () => {
    await using it = await temporary()
    await it.file.append([line('one')], wide)
    await it.file.close()
    const next = new RotatingFile(it.path)
    await next.append([line('two')], wide)
    await next.close()
    assert.equal(await readFile(it.path, 'utf8'), 'one\ntwo\n')
  })

  test('is put aside when it is full, and so many are kept', async () => {
    await using it = await temporary()
    // Ten bytes a line, five lines a file.
    for (let from = 0; from < 40; from += 4) await it.file.append(lines(from, from + 4), { maxSize: 50, keep: 2 })
    const folder = join(it.path, '..')
    const names = (await readdir(folder)).toSorted()
    assert.deepEqual(names, ['errors.jsonl', 'errors.jsonl.1', 'errors.jsonl.2'])
    const texts = await Promise.all(names.toReversed().map(async (name) => readFile(join(folder, name), 'utf8')))
    assert.equal(texts.join(''), lines(25, 40).join(''))
    for (const name of names) assert.ok((await stat(join(folder, name))).size <= 50)
  })

  test('of several processes holds the lines of all, whole and once, and none is lost when it is put aside', async () => {
    await using it = await temporary()
    await it.file.append([line('00000000a')], wide)
    const code = `
      import { RotatingFile } from ${JSON.stringify(new URL('file-sink.ts', import.meta.url).href)}
      const file = new RotatingFile(${JSON.stringify(it.path)})
      for (let at = 0; at < 200; at++)
        await file.append([Buffer.from(process.pid + '-' + at + ' ' + 'x'.repeat(200) + '\\n')], { maxSize: 20_000, keep: 100 })
      await file.close()`
    const children = Array.from({ length: 3 }, () => spawn(process.execPath, ['--input-type=module', '-e', code]))
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number)) // as Node has it
    assert.deepEqual(codes, [0, 0, 0])
    const folder = join(it.path, '..')
    const names = await readdir(folder)
    assert.ok(names.length > 4, 'it was put aside')
    assert.ok(!names.includes('errors.jsonl.lock'))
    const texts = await Promise.all(names.map(async (name) => readFile(join(folder, name), 'utf8')))
    const all = texts.flatMap((text) => text.split('\n').filter((one) => one.includes('-')))
    assert.equal(new Set(all).size, 600)
    assert.equal(all.length, 600)
    for (const one of all) assert.match(one, /^\d+-\d+ x{200}$/)
  })

  test('is put aside although a process has died about it: its lock is too old', async () => {
    await using it = await temporary()
    const limits = { maxSize: 50, keep: 2 }
    await it.file.append(lines(0, 5), limits)
    const lock = `${it.path}.lock`
    await writeFile(lock, '')
    await it.file.append(lines(5, 6), limits)
    assert.equal((await stat(it.path)).size, 60, 'somebody else is about it')
    await utimes(lock, 0, 0)
    for (let from = 6; from < 9; from++) await it.file.append(lines(from, from + 1), limits)
    assert.ok((await stat(it.path)).size <= 50)
    assert.ok(!(await readdir(join(it.path, '..'))).includes('errors.jsonl.lock'))
  })

  test('keeps none that are put aside where none is wanted', async () => {
    await using it = await temporary()
    await it.file.append(lines(0, 12), { maxSize: 50, keep: 0 })
    assert.deepEqual(await readdir(join(it.path, '..')), ['errors.jsonl'])
    assert.equal(await readFile(it.path, 'utf8'), lines(10, 12).join(''))
  })

  test('gives a line that is longer than a file one of its own', async () => {
    await using it = await temporary()
    await it.file.append([line('a'), line('b'.repeat(100)), line('c')], { maxSize: 50, keep: 5 })
    const texts = await Promise.all(['.2', '.1', ''].map(async (end) => readFile(it.path + end, 'utf8')))
    assert.deepEqual(
      texts.map((text) => text[0]),
      ['a', 'b', 'c'],
    )
  })

  test('ends the line in the midst of which another process has died', async () => {
    await using it = await temporary()
    await it.file.append([line('one')], wide)
    await it.file.close()
    await writeFile(it.path, '{"torn', { flag: 'a' })
    await it.file.append([line('two')], wide)
    assert.equal(await readFile(it.path, 'utf8'), 'one\n{"torn\ntwo\n')
  })

  test('begins again where somebody has taken the file away', async () => {
    await using it = await temporary()
    await it.file.append([line('one')], wide)
    await rename(it.path, `${it.path}.old`)
    await it.file.append([line('two')], wide)
    assert.equal(await readFile(it.path, 'utf8'), 'two\n')
    assert.equal(await readFile(`${it.path}.old`, 'utf8'), 'one\n')
  })

  test('keeps the lines of two that write at the same time whole and in order', async () => {
    await using it = await temporary()
    const batches = Array.from({ length: 50 }, (_, at) => lines(at * 3, at * 3 + 3))
    await Promise.all(batches.map(async (batch) => it.file.append(batch, wide)))
    assert.equal(await readFile(it.path, 'utf8'), lines(0, 150).join(''))
  })

  test('says what the system says, and goes on when the way is free again', async () => {
    await using it = await temporary()
    await writeFile(join(it.folder, 'a'), 'in the way')
    await assert.rejects(it.file.append([line('one')], wide), { code: /ENOTDIR|EEXIST/ })
    await rm(join(it.folder, 'a'))
    await it.file.append([line('two')], wide)
    assert.equal(await readFile(it.path, 'utf8'), 'two\n')
  })

  test('is written to the end before it closes', async () => {
    await using it = await temporary()
    const written = it.file.append(lines(0, 1000), wide)
    await it.file.close()
    await written
    assert.equal((await stat(it.path)).size, 10_000)
  })
})

describe('assertWritable', () => {
  test('lets pass what can be made, and makes nothing', async () => {
    await using it = await temporary()
    await assertWritable(it.path)
    assert.deepEqual(await readdir(it.folder), [])
    await it.file.append([line('one')], wide)
    await assertWritable(it.path)
  })

  test('says what is in the way', async () => {
    await using it = await temporary()
    await assert.rejects(assertWritable(it.folder), /is a folder; name a file in it/)
    await writeFile(join(it.folder, 'a'), '')
    await assert.rejects(assertWritable(it.path), /cannot be made: .*a is no folder/)
  })
})
