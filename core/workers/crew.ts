/** The workers of a supervisor: started, told together, and replaced where one ends. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Level, RootLog } from '../observe/log.ts'
import type { Counter } from '../observe/metrics.ts'
import { Hand, type Gone } from './hand.ts'
import { risen, together, type Source } from './metrics.ts'
import { Pulse } from './pulse.ts'
import type { Snapshot } from './snapshot.ts'

/** How long a worker may take to start, or to build another version, in ms. */
const patience = 60_000
/** One that ends within this time after it began to serve, in ms, has ended early. */
const young = 10_000
/** So often in a row, and something is wrong that no other worker cures. */
const mostYoung = 5
/** Before a worker that has ended early has a successor, in ms; twice as long each time. */
const firstWait = 250
const longestWait = 30_000

export interface CrewOptions {
  readonly workers: number
  readonly log: RootLog
  /** The folder for the sockets on which pages are asked; null where there is no admin listener. */
  readonly folder: string | null
  /** Counts those that have ended without having been told to. */
  readonly ends: Counter
  /** How long a worker may say nothing, in ms. */
  readonly silence: () => number
  /** Told when workers end early again and again. */
  readonly giveUp: (reason: string) => void
}

/** Where a worker is, and those that were there before it. */
export interface Place {
  readonly number: number
  hand: Hand | null
  /** How many there were. */
  starts: number
  /** How many in a row have ended early. */
  young: number
  lastEnd: (Gone & { readonly at: number }) | null
}

export class Crew {
  readonly places: readonly Place[]
  readonly #options: CrewOptions
  #snapshot: Snapshot
  /** Until the next reload. */
  #level: Level | null = null
  /** What those have counted that are gone. */
  #gone: Source = { worker: 'gone', readings: [] }
  /** A reload and a start are never at the same time. */
  #turn: Promise<unknown> = Promise.resolve()
  #isOpen = false
  readonly #pulse: Pulse
  readonly #stopping = new AbortController()

  constructor(snapshot: Snapshot, options: CrewOptions) {
    this.#snapshot = snapshot
    this.#options = options
    const numbers = Array.from({ length: options.workers }, (_, at) => at + 1)
    this.places = numbers.map((number) => ({ number, hand: null, starts: 0, young: 0, lastEnd: null }))
    this.#pulse = new Pulse(() => this.serving, options.silence, options.log)
  }

  /** Those that take connections. */
  get serving(): Hand[] {
    return this.places.flatMap(({ hand }) => (hand?.isServing ? hand : []))
  }

  /** Those that are there, whatever they do. */
  get hands(): Hand[] {
    return this.places.flatMap(({ hand }) => hand ?? [])
  }

  /** What was counted by all, those included that are gone. One that does not answer within `ms` counts as it did last. */
  async read(ms: number): Promise<Source[]> {
    const sources = await Promise.all(
      this.hands.map(async (hand): Promise<Source> => {
        const worker = String(hand.number)
        try {
          hand.readings = await hand.ask('read', null, ms)
          return { worker, readings: hand.readings }
        } catch {
          return { worker, readings: risen(hand.readings) }
        }
      }),
    )
    return [this.#gone, ...sources]
  }

  /** Starts all; resolves with where they listen. The first one alone: what is wrong with it is wrong with all, and told once. */
  async open(): Promise<string> {
    const [first, ...others] = this.places
    const { url } = await this.#start(first!) // there is one worker at least
    await Promise.all(others.map((place) => this.#start(place)))
    this.#isOpen = true
    this.#pulse.start()
    // Those that have ended while the others began.
    for (const place of this.places) if (!place.hand) void this.#replace(place, 0)
    return url
  }

  /**
   * All move to another version, or none does: each builds it, then `agree` has a say, then they move. Throws what kept one of them
   * from it. One that ends meanwhile has no say; its successor runs what the others run.
   */
  reload(snapshot: Snapshot, agree: () => void): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#stopping.signal.aborted) return
      const { log } = this.#options
      const hands = this.serving
      try {
        await all(hands.map((hand) => living(hand, hand.ask('prepare', snapshot, patience))))
        agree()
      } catch (error) {
        await Promise.all(hands.map((hand) => hand.ask('drop', null, patience).catch(() => {})))
        throw error
      }
      this.#snapshot = snapshot
      this.#level = null
      await Promise.all(
        hands.map(async (hand) => {
          try {
            hand.pages = await hand.ask('move', null, patience)
          } catch (error) {
            // It runs what no other does; the one that takes its place does not.
            if (hand.isServing) log.error({ worker: hand.number, err: error }, 'a worker has not moved: it is killed')
            hand.kill()
          }
        }),
      )
    })
  }

  /** Of those that are there, and of those to come until the next reload. */
  async setLevel(level: Level): Promise<void> {
    this.#level = level
    await Promise.all(
      this.hands.map((hand) =>
        living(hand, hand.ask('page', { path: '/log/level', query: `level=${level}` }, patience)),
      ),
    )
  }

  /** Tells all to drain and end; kills those that have not after `ms`. Resolves with what did not end as it should. */
  async stop(ms: number): Promise<readonly string[]> {
    this.#stopping.abort()
    this.#pulse.stop()
    const hands = this.hands
    for (const hand of hands) hand.stop()
    const ended = await Promise.all(
      hands.map(async (hand): Promise<readonly string[]> => {
        const name = `worker ${hand.number}`
        const late = new AbortController()
        const overdue = sleep(ms, null, { signal: late.signal }).catch(() => null)
        const gone = (await Promise.race([hand.gone, overdue])) ?? (hand.kill(), await hand.gone)
        late.abort()
        if (gone.code === 0) return []
        return hand.failed.length > 0 ? hand.failed.map((what) => `${name}: ${what}`) : [`${name} (${howOf(gone)})`]
      }),
    )
    return ended.flat()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Rejects where it does not come to serve; it is gone then, or will be. */
  async #start(place: Place): Promise<Hand> {
    const { log, folder, workers } = this.#options
    const { number } = place
    const hand = new Hand(
      number,
      (lines) => log.pass(lines),
      () => log.warn({ worker: number }, 'a line of the log was cut off by the end of its worker'),
      () => this.serving.length > 0,
    )
    place.hand = hand
    // A name of its own each time: a worker that was killed leaves its socket behind.
    const socket = folder === null ? null : join(folder, `${number}-${place.starts++}`)
    void hand.gone.then((gone) => this.#ended(place, hand, gone))
    try {
      await hand.start({ snapshot: this.#snapshot, workers, socket, level: this.#level }, patience)
    } catch (error) {
      const gone = hand.state === 'gone' ? await hand.gone : null
      hand.kill()
      throw gone ? new Error(`worker ${number} has ended before it served (${howOf(gone)})`, { cause: error }) : error
    }
    return hand
  }

  #ended(place: Place, hand: Hand, gone: Gone): void {
    const { log, ends, giveUp } = this.#options
    const { number } = place
    this.#gone = { worker: 'gone', readings: risen(together([this.#gone, { worker: '', readings: hand.readings }])) }
    place.hand = null
    place.lastEnd = { ...gone, at: Date.now() }
    if (this.#stopping.signal.aborted || !this.#isOpen) return
    ends.inc()
    const lived = hand.servingSince === null ? 0 : Date.now() - hand.servingSince
    place.young = lived < young ? place.young + 1 : 0
    if (place.young >= mostYoung) {
      giveUp(
        `worker ${number} has ended ${place.young} times in a row within ${young / 1000} s, the last time ${howOf(gone)}`,
      )
      return
    }
    const wait = place.young === 0 ? 0 : Math.min(longestWait, firstWait * 2 ** (place.young - 1))
    const fields = { worker: number, pid: hand.pid, ...gone, again_ms: wait }
    if (gone.code === 0) log.warn(fields, `worker ${number} was told to end, and has ended: another takes its place`)
    else
      log.error(
        fields,
        `worker ${number} has ended (${howOf(gone)}): what it had under way is lost, another takes its place`,
      )
    void this.#replace(place, wait)
  }

  async #replace(place: Place, wait: number): Promise<void> {
    const { log } = this.#options
    const { signal } = this.#stopping
    try {
      await sleep(wait, null, { signal })
      await this.#inTurn(async () => {
        if (signal.aborted) return
        const { pid } = await this.#start(place)
        log.info({ worker: place.number, pid }, `worker ${place.number} serves again`)
      })
    } catch (error) {
      // That it is gone leads here again.
      if (!signal.aborted)
        log.error({ worker: place.number, err: error }, `worker ${place.number} could not be started`)
    }
  }
}

/** Resolves when all have; else rejects as one of them does, but not before the others are settled. */
async function all(works: readonly Promise<unknown>[]): Promise<void> {
  for (const settled of await Promise.allSettled(works)) if (settled.status === 'rejected') throw settled.reason
}

/** Null where the worker is gone, or going: nobody waits for what it would have said. */
async function living<T>(hand: Hand, answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (hand.isServing) throw error
    return null
  }
}

function howOf({ code, signal }: Gone): string {
  return signal === null ? `exit code ${code}` : `by ${signal}`
}
