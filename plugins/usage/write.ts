/**
 * From exchanges to the sink: a bounded queue that is written in batches, one after the other, so that a batch is what has come
 * while the one before it was written. What fails is tried again; what cannot wait in memory waits in the journal.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { toUnits, type Standing } from 'postern/access'
import type { Log } from 'postern/plugin'
import type { Billed } from './bill.ts'
import { readJournal, type Journal, type Segment } from './journal.ts'
import { isSameBill, type UsageRow } from './row.ts'

/** A row on its way. */
export interface Entry {
  row: UsageRow
  /** Where it stands in the journal; null: there is none, or it did not take it. */
  segment: Segment | null
  /** Lines of it there. */
  lines: number
  readonly standing: Standing | null
  tries: number
}

/** Where rows go: the database, or a file. */
export interface Sink {
  /** Whether it is worth asking now. */
  readonly isUp: boolean
  /** Takes all of them or none, each once. */
  write(rows: readonly UsageRow[]): Promise<Billed>
  /** Whether the same rows can succeed later; else one of them is what is wrong. */
  isTransient(error: unknown): boolean
}

export interface LedgerOptions {
  readonly sink: Sink
  readonly journal: Journal | null
  readonly log: Log
  /** Rows that may wait in memory. */
  readonly capacity: number
  /** Rows that are written at once. */
  readonly batch: number
}

/** In ms: the first wait after a failure, the longest one, how often journals of others are looked for, how long closing may take. */
const firstWait = 100
const longestWait = 5000
const lookEvery = 60_000
const patience = 3000

export class Ledger {
  readonly #options: LedgerOptions
  readonly #closing = new AbortController()
  readonly #timer: NodeJS.Timeout
  #queue: Entry[] = []
  #underway: readonly Entry[] = []
  #writing: Promise<void> | null = null
  #replaying: Promise<void> | null = null
  #failures = 0
  #journalFailed = false

  constructor(options: LedgerOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.replay(), lookEvery)
    this.#timer.unref()
    this.replay()
  }

  /** How many wait in memory. */
  get length(): number {
    return this.#queue.length
  }

  /** Writes a row down, in the journal, before anybody hears of it. */
  note(row: UsageRow, standing: Standing | null): Entry {
    const entry: Entry = { ...unnoted(row), standing }
    this.#append(entry)
    return entry
  }

  /** The row's last form, where that asks for other money than what was noted. */
  amend(entry: Entry, row: UsageRow): void {
    const isSame = isSameBill(entry.row, row)
    entry.row = row
    if (!isSame) this.#append(entry)
  }

  /** Hands a noted row over. A promise, if it was written inline: then it resolves when the sink has it, or the journal keeps it. */
  settle(entry: Entry): void | Promise<void> {
    const { capacity, sink } = this.#options
    if (this.#queue.length < capacity && !this.#closing.signal.aborted) {
      this.#queue.push(entry)
      this.#writing ??= this.#write().finally(() => (this.#writing = null))
      return
    }
    if (sink.isUp || !entry.segment) return this.#inline(entry)
    this.#leave(entry)
  }

  /** Reads what was left in journals, in the background. */
  replay(): void {
    if (!this.#options.journal || this.#closing.signal.aborted) return
    this.#replaying ??= this.#readLeft(this.#options.journal).finally(() => (this.#replaying = null))
  }

  /** Writes what waits if that succeeds at the first try and within three seconds. The rest stays in the journal. */
  async close(): Promise<void> {
    const { journal, log } = this.#options
    clearInterval(this.#timer)
    this.#closing.abort()
    const pending = Promise.all([this.#writing, this.#replaying])
    const late = new AbortController()
    await Promise.race([pending, sleep(patience, undefined, { signal: late.signal }).catch(() => {})])
    late.abort()
    journal?.close()
    const left = [...this.#underway, ...this.#queue]
    const lost = left.filter(({ segment }) => !segment)
    if (left.length > lost.length)
      log.warn({ rows: left.length - lost.length }, 'usage waits in the journal: it is billed at the next start')
    for (const { row } of lost)
      log.error({ usage: row }, 'usage was lost: neither the database nor the journal took it')
    this.#queue = []
  }

  #append(entry: Entry): void {
    const { journal, log } = this.#options
    if (!journal) return
    try {
      if (entry.segment) entry.segment.append(entry.row)
      else entry.segment = journal.append(entry.row)
      entry.lines++
      this.#journalFailed = false
    } catch (error) {
      if (!this.#journalFailed)
        log.error({ err: error }, 'the journal of usage cannot be written: a crash now loses money')
      this.#journalFailed = true
    }
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      this.#underway = this.#queue.splice(0, this.#options.batch)
      const left = await this.#try(this.#underway)
      this.#underway = []
      if (left.length === 0) continue
      this.#queue.unshift(...left)
      if (this.#closing.signal.aborted) return
      await this.#pause()
    }
  }

  /** Resolves with those that have to be tried again. */
  async #try(entries: readonly Entry[]): Promise<readonly Entry[]> {
    const { sink, log } = this.#options
    try {
      const { billed, renamed } = await sink.write(entries.map(({ row }) => row))
      for (const entry of entries) this.#finish(entry, billed.has(entry.row.id))
      for (const { id, request_id, upstream } of renamed)
        log.warn({ usage: id, request_id, upstream }, 'an upstream has given one name to two answers: both are billed')
      this.#succeeded()
      return []
    } catch (error) {
      for (const entry of entries) entry.tries++
      if (!sink.isTransient(error)) return this.#separate(entries, error)
      this.#failed(error)
      return entries
    }
  }

  /** One row is what is wrong: the others are written without it. */
  async #separate(entries: readonly Entry[], error: unknown): Promise<readonly Entry[]> {
    if (entries.length === 1) {
      const { row, segment, lines, standing } = entries[0]!
      this.#options.log.error(
        { err: error, usage: row },
        'a row of usage was refused by the database and is not billed',
      )
      standing?.settle(0n, -chargeOf(row))
      for (let line = 0; line < lines; line++) segment?.done()
      return []
    }
    const half = Math.ceil(entries.length / 2)
    return [...(await this.#try(entries.slice(0, half))), ...(await this.#try(entries.slice(half)))]
  }

  #finish({ row, segment, lines, standing, tries }: Entry, wasBilled: boolean): void {
    for (let line = 0; line < lines; line++) segment?.done()
    const charge = chargeOf(row)
    // Billed before, at its first try: by another exchange that has fetched the same answer. Nothing is owed for this one.
    if (wasBilled || tries > 0) standing?.confirm(charge)
    else standing?.settle(0n, -charge)
  }

  async #inline(entry: Entry): Promise<void> {
    while ((await this.#try([entry])).length > 0) {
      if (entry.segment) return this.#leave(entry)
      if (this.#closing.signal.aborted) {
        this.#queue.push(entry)
        return
      }
      await this.#pause()
    }
  }

  /** Forgets a row that the journal has. Its payer owes for it until it was read from there. */
  #leave({ row, segment, lines, standing }: Entry): void {
    segment!.leave(standing, chargeOf(row))
    for (let line = 1; line < lines; line++) segment!.leave(null, 0n)
  }

  async #readLeft(journal: Journal): Promise<void> {
    const { batch, log } = this.#options
    try {
      for (const leftover of await journal.abandoned()) {
        const rows = await readJournal(leftover.path)
        for (let at = 0; at < rows.length; at += batch) {
          let left: readonly Entry[] = rows.slice(at, at + batch).map(unnoted)
          while ((left = await this.#try(left)).length > 0) {
            if (this.#closing.signal.aborted) return
            await this.#pause()
          }
        }
        await journal.remove(leftover)
        if (rows.length > 0) log.info({ rows: rows.length }, 'usage from the journal was billed')
      }
    } catch (error) {
      log.error({ err: error }, 'the journal of usage cannot be read: it is tried again')
    }
  }

  #failed(error: unknown): void {
    if (this.#failures++ === 0) this.#options.log.warn({ err: error }, 'usage cannot be written now: it waits')
  }

  #succeeded(): void {
    const { journal, log } = this.#options
    if (this.#failures > 0) {
      this.#failures = 0
      log.info({ waiting: this.#queue.length }, 'usage is written again')
    }
    if (journal?.hasLeft) this.replay()
  }

  async #pause(): Promise<void> {
    const ms = Math.min(longestWait, firstWait * 2 ** Math.min(10, this.#failures - 1))
    await sleep(ms * (0.5 + Math.random() / 2), undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
  }
}

/** A row that stands in no part of the journal of this process. */
function unnoted(row: UsageRow): Entry {
  return { row, segment: null, lines: 0, standing: null, tries: 0 }
}

/** What its payer owes for it, in units of 10⁻¹⁰ USD: subscriptions count what it costs, wallets pay what is charged. */
export function chargeOf({ billing, total_cost, actual_cost }: UsageRow): bigint {
  if (billing === 'none') return 0n
  return toUnits(billing === 'subscription' ? total_cost : actual_cost)
}
