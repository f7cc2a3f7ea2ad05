/**
 * A clock that a test moves: `Date`, `performance.now` and the global timers of this process. Time goes on by itself as well, so
 * that sockets, which have timers of their own, notice nothing.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parseDuration } from '../config/formats.ts'

export interface VirtualClock extends Disposable {
  /** What `Date.now` says. */
  readonly now: number
  /**
   * Moves time on by so many ms, or by a duration as in gateway.yaml (`10m`). Timers that are due on the way run in their order, each
   * at its moment, and the promises that they settle before the next one; sockets have their turn now and then. Rejects with what a
   * timer throws, and with RangeError for what is no duration.
   */
  advance(by: number | string): Promise<void>
}

/** A timer that has been set and has not run. */
interface Due {
  readonly run: () => void
  readonly repeats: boolean
  /** Begins its time anew, without the bookkeeping. */
  readonly rearm: () => void
  /** In ms of the moved `performance.now`. */
  at: number
}

const real = { Date, setTimeout, setInterval, clearTimeout, clearInterval }
let isMoved = false

/**
 * Takes the clock of this process in hand until the end of the block: `using clock = virtualClock()`, before the gateway. What lies
 * outside the process keeps real time: the expiry of keys in Redis, a database, `node:timers/promises` of the test itself.
 * Throws where another one has it.
 */
export function virtualClock(): VirtualClock {
  if (isMoved) throw new Error('there is a virtual clock already: one test moves time at a time')
  isMoved = true
  const pending = new Map<NodeJS.Timeout, Due>()
  const flows = performance.now.bind(performance)
  const epoch = real.Date.now() - flows()
  let ahead = 0
  /** While time is moved it stands still at each timer: what repeats keeps its pace, however long its runs take. */
  let stands: number | null = null
  const elapsed = () => stands ?? flows() + ahead
  const now = () => Math.floor(epoch + elapsed())

  function set(repeats: boolean, call: (...given: unknown[]) => void, ms: number | undefined, given: unknown[]) {
    // As Node does: what is less than a millisecond, or no number, is one.
    const every = Number(ms) >= 1 ? Number(ms) : 1
    const run = () => {
      if (!repeats) pending.delete(timer)
      else due.at = elapsed() + every
      call(...given)
    }
    const timer = repeats ? real.setInterval(run, every) : real.setTimeout(run, every)
    const refresh = timer.refresh.bind(timer)
    const due: Due = { run, repeats, rearm: refresh, at: elapsed() + every }
    pending.set(timer, due)
    timer.refresh = () => {
      due.at = elapsed() + every
      pending.set(timer, due)
      return refresh()
    }
    timer.close = () => {
      clear(timer)
      return timer
    }
    timer[Symbol.dispose] = () => clear(timer)
    return timer
  }

  function clear(timer: NodeJS.Timeout | string | number | undefined): void {
    if (typeof timer === 'object') pending.delete(timer)
    // Node's own other name for a timer, a number.
    else for (const known of pending.keys()) if (Number(known) === Number(timer)) pending.delete(known)
    real.clearTimeout(timer)
  }

  /** The one that is due first, until then. */
  function next(until: number): [NodeJS.Timeout, Due] | null {
    let first: [NodeJS.Timeout, Due] | null = null
    for (const entry of pending) if (entry[1].at <= (first?.[1].at ?? until)) first = entry
    return first
  }

  type Call = (...given: unknown[]) => void
  const timers = {
    setTimeout: Object.assign((call: Call, ms?: number, ...given: unknown[]) => set(false, call, ms, given), {
      [promisify.custom]: (ms?: number, value?: unknown) => new Promise((resolve) => set(false, resolve, ms, [value])),
    }),
    setInterval: (call: Call, ms?: number, ...given: unknown[]) => set(true, call, ms, given),
    clearTimeout: clear,
    clearInterval: clear,
  }
  Object.assign(globalThis, timers, { Date: dateThatSays(now) })
  Object.defineProperty(performance, 'now', { value: elapsed, configurable: true, writable: true })

  return {
    get now() {
      return now()
    },
    async advance(by) {
      const ms = typeof by === 'number' ? by : parseDuration(by)
      if (ms === null || !(ms >= 0)) throw new RangeError(`${JSON.stringify(by)} is no duration: say 1500, or "10m"`)
      const until = elapsed() + ms
      let runs = 0
      try {
        for (let found = next(until); found; found = next(until)) {
          const [timer, due] = found
          stands = Math.max(due.at, elapsed())
          if (due.repeats) due.rearm()
          else real.clearTimeout(timer)
          due.run()
          await (++runs % 64 === 0 ? turn() : settled())
        }
        stands = Math.max(until, elapsed())
        await turn()
      } finally {
        if (stands !== null) ahead = Math.max(ahead, stands - flows())
        stands = null
      }
    },
    [Symbol.dispose]() {
      Object.assign(globalThis, real)
      Reflect.deleteProperty(performance, 'now')
      isMoved = false
    },
  }
}

/** Resolves when no promise is left that is settled and not yet told: ticks come behind all of them. */
const settled = () => new Promise<void>((resolve) => process.nextTick(resolve))

/** `Date`, but for what it takes the present to be. What is made by one is an instance of the other. */
function dateThatSays(now: () => number): DateConstructor {
  return new Proxy(real.Date, {
    construct: (made, given: unknown[], as) => Reflect.construct(made, given.length > 0 ? given : [now()], as) as Date,
    apply: (made) => new made(now()).toString(),
    get: (made, name): unknown => (name === 'now' ? now : Reflect.get(made, name)),
  })
}
