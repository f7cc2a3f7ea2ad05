/** A file of JSON lines that is put aside when it is full. */
import { constants, type Stats } from 'node:fs'
import { access, mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CapturedError } from 'postern/plugin'
import type { Sink } from './sink.ts'

export interface Limits {
  /** Bytes of one file. */
  readonly maxSize: number
  /** Files that were put aside. */
  readonly keep: number
}

/** The records as lines of a file that others may write to as well, within one's own limits. */
export function fileSink(file: RotatingFile, limits: Limits): Sink {
  return { write: (batch) => file.append(batch.map(lineOf), limits) }
}

/** The request's body stands in its record as the JSON it is. */
function lineOf({ request_body: body, ...record }: CapturedError): Buffer {
  // In JSON a line feed can only stand between two values.
  const inner = body === null ? 'null' : body.replace(/[\r\n]+/g, ' ')
  return Buffer.from(`${JSON.stringify(record).slice(0, -1)},"request_body":${inner}}\n`)
}

/** Fails where the file could not be made; makes nothing. */
export async function assertWritable(path: string): Promise<void> {
  let place = path
  let found = await stat(place).catch(() => null)
  if (found?.isDirectory()) throw new Error(`${path} is a folder; name a file in it`)
  while (found === null && dirname(place) !== place) {
    place = dirname(place)
    found = await stat(place).catch(() => null)
  }
  if (place !== path && !found?.isDirectory()) throw new Error(`${path} cannot be made: ${place} is no folder`)
  await access(place, constants.W_OK).catch(() => {
    throw new Error(`${path} cannot be written: ${place} is not writable for this process`)
  })
}

/**
 * The file at a path, opened with the first line and closed when idle hands let it go. Appends run one after the other,
 * whoever asks for them: one for the gateway that retires and the one that has come. Other processes may have the same file: an
 * append is one write, which the system does not mix with another, and one of them at a time puts the file aside.
 */
export class RotatingFile {
  readonly #path: string
  #handle: FileHandle | null = null
  #size = 0
  #inode = 0
  #last: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** Resolves when the lines are with the system. Rejects with the system's error; part of them may be written then. */
  append(lines: readonly Buffer[], limits: Limits): Promise<void> {
    const run = this.#last.then(async () => this.#append(lines, limits))
    this.#last = run.catch(() => {})
    return run
  }

  /** Resolves when everything asked for is done and the file is closed. */
  async close(): Promise<void> {
    await this.#last
    await this.#release()
  }

  async #append(lines: readonly Buffer[], { maxSize, keep }: Limits): Promise<void> {
    try {
      await this.#ready()
      let from = 0
      while (from < lines.length) {
        if (this.#size > 0 && this.#size + lines[from]!.length > maxSize) await this.#putAside(keep)
        let to = from
        let length = 0
        while (to < lines.length && (to === from || this.#size + length + lines[to]!.length <= maxSize)) {
          length += lines[to]!.length
          to++
        }
        await this.#handle!.appendFile(Buffer.concat(lines.slice(from, to)))
        this.#size += length
        from = to
      }
    } catch (error) {
      // What is in the file now is seen when it is next opened.
      await this.#release()
      throw error
    }
  }

  /** Opens the file, or another one where somebody has taken it away. */
  async #ready(): Promise<void> {
    if (this.#handle) {
      const there = await stat(this.#path).catch(() => null)
      if (there?.ino === this.#inode) {
        this.#size = there.size
        return
      }
      await this.#release()
    }
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
    this.#handle = await open(this.#path, 'a+', 0o600)
    const found = await this.#handle.stat()
    this.#inode = found.ino
    this.#size = found.size
    if (await this.#endsTorn(found)) {
      await this.#handle.appendFile('\n')
      this.#size++
    }
  }

  /** Whether a process has died in the midst of a line. */
  async #endsTorn({ size }: Stats): Promise<boolean> {
    if (size === 0) return false
    const { buffer } = await this.#handle!.read({ buffer: Buffer.alloc(1), position: size - 1 })
    return buffer[0] !== 0x0a
  }

  /** Where another process is just about it, the file becomes longer by what is appended meanwhile. */
  async #putAside(keep: number): Promise<void> {
    const lock = `${this.#path}.lock`
    if (!(await isTaken(lock))) return
    try {
      // By now it may have been done.
      const there = await stat(this.#path).catch(() => null)
      await this.#release()
      if (there?.ino === this.#inode) await this.#move(keep)
    } finally {
      await rm(lock, { force: true })
    }
    await this.#ready()
  }

  async #move(keep: number): Promise<void> {
    const aside = (number: number) => `${this.#path}.${number}`
    await rm(aside(keep), { force: true })
    for (let number = keep; number > 1; number--) await renameIfThere(aside(number - 1), aside(number))
    if (keep > 0) await renameIfThere(this.#path, aside(1))
    else await rm(this.#path, { force: true })
  }

  async #release(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    await handle?.close()
  }
}

/** A lock that is older was left by a process that has died, in ms. */
const longestLock = 10_000

/** Takes a lock; false where another process has it. */
async function isTaken(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx', 0o600)).close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // open fails with nothing but system errors
    const found = await stat(lock).catch(() => null)
    // Whoever comes next takes it.
    if (found && Date.now() - found.mtimeMs > longestLock) await rm(lock, { force: true })
    return false
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
