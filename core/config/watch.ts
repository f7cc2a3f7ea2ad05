/** Says when gateway.yaml has other bytes than before, however they came to be there. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { FileHashes } from './load.ts'

export interface WatchOptions {
  /** Milliseconds of quiet before the file is read; an editor makes several events of one save. */
  readonly debounce?: number
  /** Milliseconds between looks without any event, for what the file system does not tell (network mounts). */
  readonly poll?: number
}

export interface Watch {
  /** Watches these files as well, in place of those before; given as they were read, so that no change of them is missed. */
  follow(files: FileHashes): void
  /** Resolves when nothing of it runs any more, the last `onChange` included. */
  close(): Promise<void>
}

/**
 * Watches a file. `onChange` is never called twice at a time; what changes while it runs is told after it. A file that
 * is missing or empty is one that is being written: what it becomes is told. What `onChange` throws becomes a process
 * warning.
 *
 * It is the folder that is watched, and any event in it is a "maybe": Kubernetes changes a ConfigMap by turning the
 * link `..data` beside the file, which an eye on the file itself never sees, and a file that is replaced takes its
 * watch with it.
 */
export async function watchConfig(
  file: string,
  onChange: () => void | Promise<void>,
  options: WatchOptions = {},
): Promise<Watch> {
  const { debounce = 150, poll = 15_000 } = options
  const path = resolve(file)
  // A process that listens already: 8 ms that no first request waits for.
  const { watch } = await import('chokidar')
  const eye = new Eye(path, onChange, debounce, await hashOf(path))
  // `raw` as well: chokidar keeps to itself what leaves the modification time as it was, such as `cp -p`.
  const watcher = watch(dirname(path), { depth: 0, ignoreInitial: true })
    .on('all', () => eye.maybe())
    .on('raw', () => eye.maybe())
    .on('error', (error) => warn(error))
  await new Promise<void>((ready) => watcher.once('ready', ready))
  // It may have changed before anyone looked.
  eye.maybe()
  const timer = setInterval(() => eye.look(), poll).unref()
  const folders = new Set([dirname(path)])
  return {
    follow(files) {
      eye.follow(files)
      for (const folder of new Set([...files.keys()].map((file) => dirname(file)))) {
        if (!folders.has(folder)) watcher.add(folder)
        folders.add(folder)
      }
      eye.maybe()
    },
    async close() {
      clearInterval(timer)
      eye.shut()
      await watcher.close()
      await eye.idle
    },
  }
}

class Eye {
  /** The looks taken so far, one after the other. */
  idle: Promise<void> = Promise.resolve()
  readonly #path: string
  readonly #onChange: () => void | Promise<void>
  readonly #debounce: number
  #seen: string | null
  #followed: FileHashes = new Map()
  #timer: NodeJS.Timeout | null = null
  #deadline = 0
  #waiting = false
  #open = true

  constructor(path: string, onChange: () => void | Promise<void>, debounce: number, seen: string | null) {
    this.#path = path
    this.#onChange = onChange
    this.#debounce = debounce
    this.#seen = seen
  }

  /** Something has happened: looks when it has become quiet, or after ten times that where it never does. */
  maybe(): void {
    if (!this.#open) return
    const now = Date.now()
    if (this.#timer) clearTimeout(this.#timer)
    else this.#deadline = now + 10 * this.#debounce
    this.#timer = setTimeout(() => this.look(), Math.min(this.#debounce, Math.max(0, this.#deadline - now))).unref()
  }

  /** Looks, after the look that is being taken. One more that waits is enough: it will see the latest. */
  look(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (!this.#open || this.#waiting) return
    this.#waiting = true
    this.idle = this.idle.then(() => this.#look())
  }

  follow(files: FileHashes): void {
    this.#followed = files
  }

  shut(): void {
    this.#open = false
    if (this.#timer) clearTimeout(this.#timer)
  }

  async #look(): Promise<void> {
    this.#waiting = false
    const hash = await hashOf(this.#path)
    if (!this.#open || hash === null) return
    if (hash === this.#seen && !(await this.#hasOther())) return
    this.#seen = hash
    try {
      await this.#onChange()
    } catch (error) {
      warn(error)
    }
  }

  /** Whether a followed file has other bytes than when it was read. One that is missing or empty is being written. */
  async #hasOther(): Promise<boolean> {
    for (const [file, before] of this.#followed) {
      const hash = await hashOf(file)
      if (hash !== null && hash !== before) return true
    }
    return false
  }
}

/** Null where there is nothing to read: no file, or an empty one. */
async function hashOf(path: string): Promise<string | null> {
  const bytes = await readFile(path).catch(() => null)
  return bytes?.length ? createHash('sha256').update(bytes).digest('hex') : null
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
