/**
 * What has to be billed, on disk until the database has it: one line for each exchange, appended at once, so that what was
 * appended survives the process. A file is emptied when the database has everything in it.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { readdir, readFile, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { UsageRow } from './row.ts'

/** A part of the journal, in one file. */
export interface Segment {
  /** A later form of a row that is in it already. */
  append(row: UsageRow): void
  /** The database has a row of it. */
  done(): void
  /** Nobody remembers a row of it any more: it is read again from here. `payer` owes for it until then. */
  leave(payer: Payer | null, charge: bigint): void
}

/** Who is told when the database has taken what was owed. */
export interface Payer {
  confirm(charge: bigint): void
}

/** What nobody writes to any more, and who owes what for it: nobody, where it was left by another process. */
export interface Leftover {
  readonly path: string
  readonly owed: ReadonlyMap<Payer, bigint>
}

/** A file that has become this long is followed by another one, in bytes. */
const longestFile = 4 * 2 ** 20

/** Files of living journals of this process. Others under its number are those of a process before it. */
const inUse = new Set<string>()
let opened = 0

export class Journal {
  readonly #folder: string
  #files: File[] = []
  /** By the path of a file of its own that was left. */
  readonly #owed = new Map<string, ReadonlyMap<Payer, bigint>>()

  /** Makes the folder and a first file. Throws where it cannot be written. */
  constructor(folder: string) {
    this.#folder = resolve(folder)
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    this.#next()
  }

  /** Throws where the disk does not take it: then the row is not in the journal. */
  append(row: UsageRow): Segment {
    let file = this.#files.at(-1)!
    if (file.isFull) {
      file = this.#next()
      this.#files = this.#files.filter((one) => one === file || !one.endIfDone())
    }
    file.append(row)
    return file
  }

  /** Files that nobody writes to: of processes that are no more, and of this one where rows were left. Oldest first. */
  async abandoned(): Promise<Leftover[]> {
    const left = this.#files.filter((file) => file.hasLeft)
    if (left.length > 0) this.#next()
    for (const file of left) {
      file.end()
      this.#owed.set(file.path, file.owed)
    }
    this.#files = this.#files.filter((file) => !left.includes(file))
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.jsonl') && isAbandoned(name))
    const paths = names.map((name) => join(this.#folder, name)).filter((path) => !inUse.has(path))
    return paths.toSorted().map((path) => ({ path, owed: this.#owed.get(path) ?? nobody }))
  }

  /** The database has all of it. */
  async remove({ path, owed }: Leftover): Promise<void> {
    await unlink(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    this.#owed.delete(path)
    for (const [payer, charge] of owed) payer.confirm(charge)
  }

  /** Whether `abandoned` would find something of its own. */
  get hasLeft(): boolean {
    return this.#files.some((file) => file.hasLeft)
  }

  /** What waits in it is left to the next one. */
  close(): void {
    for (const file of this.#files) if (!file.endIfDone()) file.end()
    this.#files = []
  }

  #next(): File {
    const name = `${process.pid}-${Date.now().toString(36)}-${opened++}.jsonl`
    const file = new File(join(this.#folder, name))
    this.#files.push(file)
    return file
  }
}

const nobody: ReadonlyMap<Payer, bigint> = new Map()

class File implements Segment {
  readonly path: string
  readonly owed = new Map<Payer, bigint>()
  readonly #fd: number
  #length = 0
  /** Lines in it that somebody remembers. */
  #waiting = 0
  #left = 0
  #isOpen = true

  constructor(path: string) {
    this.path = path
    this.#fd = openSync(path, 'ax', 0o600)
    inUse.add(path)
  }

  get isFull(): boolean {
    return this.#length > longestFile
  }

  /** Nobody remembers anything of it, and something was left in it. */
  get hasLeft(): boolean {
    return this.#left > 0 && this.#waiting === 0
  }

  append(row: UsageRow): void {
    if (!this.#isOpen) throw new Error('this part of the journal has ended')
    const line = `${JSON.stringify(row)}\n`
    const written = writeSync(this.#fd, line)
    this.#length += written
    // A disk that is full takes a part. The line is none, and the next one must not be glued to it.
    if (written < Buffer.byteLength(line)) {
      writeSync(this.#fd, '\n')
      throw new Error('the disk did not take a whole line')
    }
    this.#waiting++
  }

  done(): void {
    this.#waiting--
    if (!this.#isOpen || this.#waiting > 0 || this.#left > 0) return
    ftruncateSync(this.#fd, 0)
    this.#length = 0
  }

  leave(payer: Payer | null, charge: bigint): void {
    this.#waiting--
    this.#left++
    if (payer) this.owed.set(payer, (this.owed.get(payer) ?? 0n) + charge)
  }

  /** True: it is over, nothing in it waits. */
  endIfDone(): boolean {
    if (this.#waiting > 0 || this.#left > 0) return false
    this.end()
    unlinkSync(this.path)
    return true
  }

  end(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#fd)
    inUse.delete(this.path)
  }
}

/** The rows of a file; of two with the same name the later one, which knows more. A line that a crash cut off is left out. */
export async function readJournal(file: string): Promise<UsageRow[]> {
  const rows = new Map<string, UsageRow>()
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const row = rowIn(line)
    if (row) rows.set(row.id, row)
  }
  return [...rows.values()]
}

function rowIn(line: string): UsageRow | null {
  try {
    const row: unknown = JSON.parse(line)
    // Whatever has its own name, another for its bill, and an amount was written by `append`.
    const isRow = typeof row === 'object' && row !== null && 'id' in row && 'request_id' in row && 'actual_cost' in row
    return isRow ? (row as UsageRow) : null
  } catch {
    return null
  }
}

/** A process of our own number is dead: in a container each has the number of the one before. */
function isAbandoned(name: string): boolean {
  const pid = Number(name.split('-')[0])
  if (pid === process.pid || !Number.isSafeInteger(pid) || pid <= 0) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' // what kill throws
  }
}
