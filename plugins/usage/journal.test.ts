import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Journal, readJournal } from './journal.ts'
import { rowFor } from './row.fixture.ts'

describe('the journal', () => {
  let folder = ''
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'postern-journal-'))))
  afterEach(() => rmSync(folder, { recursive: true }))
  const files = () => readdirSync(folder).map((name) => join(folder, name))

  test('has a row on disk when `append` returns, for its owner alone', async () => {
    const journal = new Journal(folder)
    const row = rowFor()
    journal.append(row)
    const [file = assert.fail()] = files()
    assert.equal(readFileSync(file, 'utf8'), `${JSON.stringify(row)}\n`)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.deepEqual(await readJournal(file), [row])
    journal.close()
  })

  test('is emptied when nothing in it waits, and leaves no file when it closes', () => {
    const journal = new Journal(folder)
    const segments = [rowFor(), rowFor()].map((row) => journal.append(row))
    segments[0]!.done()
    assert.notEqual(statSync(files()[0]!).size, 0)
    segments[1]!.done()
    assert.equal(statSync(files()[0]!).size, 0)
    journal.append(rowFor()).done()
    journal.close()
    assert.deepEqual(files(), [])
  })

  test('begins another file when one is long, and removes those that are done', () => {
    const journal = new Journal(folder)
    const long = rowFor({ user_agent: 'x'.repeat(64 * 1024) })
    const segments = Array.from({ length: 100 }, () => journal.append(long))
    assert.ok(files().length > 1)
    for (const segment of segments) segment.done()
    journal.append(rowFor({ user_agent: 'y'.repeat(5 * 2 ** 20) })).done()
    for (let times = 0; times < 2; times++) journal.append(long)
    journal.close()
    assert.equal(files().length, 1)
  })

  test('is not found by others while it lives, and is when it has closed', async () => {
    const [one, other] = [new Journal(folder), new Journal(folder)]
    const row = rowFor()
    one.append(row)
    assert.deepEqual(await other.abandoned(), [])
    one.close()
    const [left = assert.fail()] = await other.abandoned()
    assert.deepEqual(await readJournal(left.path), [row])
    await other.remove(left)
    assert.deepEqual(await other.abandoned(), [])
    other.close()
  })

  test('gives back what was left in it, and tells its payers when it was read', async () => {
    const journal = new Journal(folder)
    const confirmed: bigint[] = []
    const payer = { confirm: (charge: bigint) => void confirmed.push(charge) }
    const segments = [1n, 2n, 3n].map(() => journal.append(rowFor()))
    segments[0]!.leave(payer, 5n)
    segments[1]!.leave(payer, 7n)
    assert.deepEqual(await journal.abandoned(), [])
    segments[2]!.done()
    assert.ok(journal.hasLeft)
    const [left = assert.fail()] = await journal.abandoned()
    assert.equal((await readJournal(left.path)).length, 3)
    assert.deepEqual(confirmed, [])
    await journal.remove(left)
    assert.deepEqual(confirmed, [12n])
    journal.close()
    assert.deepEqual(files(), [])
  })

  test('is read without what a crash has cut off, and with the last form of a row', async () => {
    const file = join(folder, 'left.jsonl')
    const [one, two] = [rowFor(), rowFor()]
    const amended = { ...one, actual_cost: '7' }
    const text = [one, two, amended].map((row) => JSON.stringify(row)).join('\n')
    for (let cut = 0; cut < text.length; cut += 37) {
      writeFileSync(file, text.slice(0, cut))
      for (const row of await readJournal(file))
        assert.ok([one, two, amended].some((known) => JSON.stringify(known) === JSON.stringify(row)))
    }
    writeFileSync(file, `${text}\n17\nnull\n{}\n`)
    assert.deepEqual(await readJournal(file), [amended, two])
  })

  test('cannot be opened where nothing can be written', () => {
    writeFileSync(join(folder, 'file'), '')
    assert.throws(() => new Journal(join(folder, 'file', 'below')), /ENOTDIR/)
  })
})
