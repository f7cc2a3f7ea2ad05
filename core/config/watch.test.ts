/** Real files, real events. Each test waits for the call it expects; nothing sleeps until things have settled. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readFile, rename, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { watchConfig, type WatchOptions } from './watch.ts'

/** Without a poll in reach: what a test sees was seen by an event. */
const byEvents = { debounce: 20, poll: 600_000 }

describe('a change is told', () => {
  test('when the file is written in place', async () => {
    await using watched = await watching('one')
    await writeFile(watched.file, 'two')
    assert.equal(await watched.next(), 'two')
    await writeFile(watched.file, 'three')
    assert.equal(await watched.next(), 'three')
  })

  test('when another file takes its name, again and again', async () => {
    await using watched = await watching('one')
    for (const text of ['two', 'three', 'four']) {
      await writeFile(`${watched.file}.tmp`, text)
      await rename(`${watched.file}.tmp`, watched.file)
      assert.equal(await watched.next(), text)
    }
  })

  test('when an editor makes a backup of it first', async () => {
    await using watched = await watching('one')
    await rename(watched.file, `${watched.file}~`)
    await writeFile(watched.file, 'two')
    assert.equal(await watched.next(), 'two')
  })

  test('when Kubernetes flips the link to a ConfigMap, again and again', async () => {
    await using watched = await watching('one', { configMap: true })
    for (const text of ['two', 'three']) {
      await flip(watched.folder, text)
      assert.equal(await watched.next(), text)
    }
  })

  test('when it was truncated and is written later, once', async () => {
    await using watched = await watching('one')
    const handle = await open(watched.file, 'w')
    // Long enough for the empty file to be read: a look is sure to have been taken once the second file was noticed.
    await using other = await watching('a')
    await writeFile(other.file, 'b')
    await other.next()
    assert.deepEqual(watched.told, [])
    await handle.writeFile('two')
    await handle.close()
    assert.equal(await watched.next(), 'two')
    assert.deepEqual(watched.told, ['two'])
  })

  test('when its modification time stays what it was', async () => {
    await using watched = await watching('one')
    const { atime, mtime } = await stat(watched.file)
    await writeFile(watched.file, 'two')
    await utimes(watched.file, atime, mtime)
    assert.equal(await watched.next(), 'two')
    // The same once more, as `cp -p` does it: at no moment is there another time than the one that was seen last.
    await writeFile(`${watched.file}.tmp`, 'six')
    await utimes(`${watched.file}.tmp`, atime, mtime)
    await rename(`${watched.file}.tmp`, watched.file)
    assert.equal(await watched.next(), 'six')
  })

  test('when it was deleted and is there again', async () => {
    await using watched = await watching('one')
    await unlink(watched.file)
    await writeFile(watched.file, 'two')
    assert.equal(await watched.next(), 'two')
  })

  test('when it was not there at first', async () => {
    await using watched = await watching(null)
    await writeFile(watched.file, 'one')
    assert.equal(await watched.next(), 'one')
  })

  test('by the poll, where no event comes', async () => {
    const target = await mkdtemp(join(tmpdir(), 'postern-target-'))
    await writeFile(join(target, 'real.yaml'), 'one')
    // The folder that a link leads to through another folder is not watched.
    await using watched = await watching(null, { link: target }, { debounce: 20, poll: 30 })
    await writeFile(join(target, 'new.yaml'), 'two')
    await rename(join(target, 'new.yaml'), join(target, 'real.yaml'))
    assert.equal(await watched.next(), 'two')
    await rm(target, { recursive: true })
  })
})

describe('nothing is told', () => {
  test('of other files, nor of a file that is written with what it had', async () => {
    await using watched = await watching('one')
    await writeFile(join(watched.folder, 'other.yaml'), 'x')
    await writeFile(watched.file, 'one')
    await writeFile(watched.file, 'two')
    assert.equal(await watched.next(), 'two')
    assert.deepEqual(watched.told, ['two'])
  })

  test('twice of one change, though it makes many events', async () => {
    await using watched = await watching('one')
    for (let piece = 0; piece < 50; piece++) await writeFile(join(watched.folder, `noise-${piece}`), 'x')
    await writeFile(watched.file, 'two')
    assert.equal(await watched.next(), 'two')
    await writeFile(watched.file, 'three')
    assert.equal(await watched.next(), 'three')
    assert.deepEqual(watched.told, ['two', 'three'])
  })

  test('after it was closed', async () => {
    const watched = await watching('one', {}, { debounce: 20, poll: 20 })
    await writeFile(watched.file, 'two')
    await watched.close()
    const told = [...watched.told]
    await using other = await watching('a')
    await writeFile(watched.file, 'three')
    await writeFile(other.file, 'b')
    await other.next()
    assert.deepEqual(watched.told, told)
    await watched[Symbol.asyncDispose]()
  })
})

describe('telling', () => {
  test('goes on while a folder is never quiet', async () => {
    await using watched = await watching('one', {}, { debounce: 30, poll: 600_000 })
    await writeFile(watched.file, 'two')
    let quiet = false
    const noise = (async () => {
      for (let round = 0; !quiet; round++) await writeFile(join(watched.folder, 'noise'), String(round))
    })()
    assert.equal(await watched.next(), 'two')
    quiet = true
    await noise
  })

  test('is never done twice at a time, and the latest is told in the end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-watch-'))
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, '0')
    const [first, last] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const seen: string[] = []
    let running = 0
    const watcher = await watchConfig(
      file,
      async () => {
        assert.equal(++running, 1)
        seen.push(await readFile(file, 'utf8'))
        first.resolve()
        // Busy until more has changed than one call can tell.
        if (seen.length === 1) for (const text of ['2', '3', '4']) await writeFile(file, text)
        running--
        if (seen.at(-1) === '4') last.resolve()
      },
      { debounce: 5, poll: 10 },
    )
    await writeFile(file, '1')
    await first.promise
    await last.promise
    await watcher.close()
    assert.equal(running, 0)
    assert.deepEqual([seen[0], seen.at(-1)], ['1', '4'])
    await rm(folder, { recursive: true })
  })

  test('goes on after it has failed, and the failure is a warning', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-watch-'))
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, 'one')
    let calls = 0
    const second = Promise.withResolvers<void>()
    const watcher = await watchConfig(
      file,
      () => {
        if (++calls === 1) throw new Error('a failure on purpose')
        second.resolve()
      },
      byEvents,
    )
    const warned = once(process, 'warning')
    await writeFile(file, 'two')
    assert.match(String(await warned), /a failure on purpose/)
    await writeFile(file, 'three')
    await second.promise
    await watcher.close()
    await rm(folder, { recursive: true })
  })

  test('is waited for by close', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-watch-'))
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, 'one')
    const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let done = false
    const watcher = await watchConfig(
      file,
      async () => {
        begun.resolve()
        await released.promise
        done = true
      },
      byEvents,
    )
    await writeFile(file, 'two')
    await begun.promise
    const closing = watcher.close()
    released.resolve()
    await closing
    assert.ok(done)
    await rm(folder, { recursive: true })
  })
})

interface Layout {
  /** As Kubernetes mounts a ConfigMap: `gateway.yaml` → `..data/gateway.yaml`, `..data` → a folder that is replaced. */
  readonly configMap?: boolean
  /** The file is a link to `real.yaml` in this folder, by way of another link. */
  readonly link?: string
}

/** A file in a folder of its own, the texts that were told of it so far, and a promise of the next one. */
class Watched {
  readonly folder: string
  readonly file: string
  readonly told: string[] = []
  #asked = 0
  #wake: (() => void) | null = null
  #close: () => Promise<void> = async () => {}

  constructor(folder: string) {
    this.folder = folder
    this.file = join(folder, 'gateway.yaml')
  }

  async open(options: WatchOptions): Promise<void> {
    const watcher = await watchConfig(this.file, () => this.#tell(), options)
    this.#close = () => watcher.close()
  }

  async next(): Promise<string> {
    while (this.told.length === this.#asked) await new Promise<void>((wake) => (this.#wake = wake))
    return this.told[this.#asked++] ?? ''
  }

  close(): Promise<void> {
    return this.#close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
    await rm(this.folder, { recursive: true })
  }

  async #tell(): Promise<void> {
    this.told.push(await readFile(this.file, 'utf8'))
    this.#wake?.()
  }
}

async function watching(text: string | null, layout: Layout = {}, options: WatchOptions = byEvents): Promise<Watched> {
  const watched = new Watched(await mkdtemp(join(tmpdir(), 'postern-watch-')))
  const { folder, file } = watched
  if (layout.link !== undefined) {
    await symlink(layout.link, join(folder, 'current'))
    await symlink('current/real.yaml', file)
  } else if (layout.configMap) {
    await flip(folder, text ?? '')
    await symlink('..data/gateway.yaml', file)
  } else if (text !== null) await writeFile(file, text)
  await watched.open(options)
  return watched
}

let version = 0

/** What the kubelet does: a new folder, a new link to it, and the new link renamed over the old one. */
async function flip(folder: string, text: string): Promise<void> {
  const name = `..${++version}`
  await mkdir(join(folder, name))
  await writeFile(join(folder, name, 'gateway.yaml'), text)
  await symlink(name, join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, '..data'))
}
