/** Workers that are there and do nothing any more, because something in them loops for ever: found, and killed. */
import type { RootLog } from '../observe/log.ts'
import type { Hand } from './hand.ts'

/**
 * How often they are asked within the time that they may say nothing. It is unanswered questions that count, not time: those who were
 * suspended together with their supervisor have missed one.
 */
const beats = 5
/** In ms. */
const leastSilence = 1000

/** Asks every worker that serves, until it is stopped. `silence`: the time in ms, asked for anew at each beat. */
export class Pulse {
  readonly #serving: () => readonly Hand[]
  readonly #silence: () => number
  readonly #log: RootLog
  #timer: NodeJS.Timeout | undefined

  constructor(serving: () => readonly Hand[], silence: () => number, log: RootLog) {
    this.#serving = serving
    this.#silence = silence
    this.#log = log
  }

  start(): void {
    const silence = Math.max(leastSilence, this.#silence())
    this.#timer = setTimeout(() => {
      for (const hand of this.#serving()) this.#feel(hand, silence)
      this.start()
    }, silence / beats).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #feel(hand: Hand, silence: number): void {
    if (hand.unanswered < beats) {
      hand.unanswered++
      hand.ask('pulse', null, silence).catch(() => {})
      return
    }
    const { number, pid } = hand
    this.#log.error(
      { worker: number, pid, silence_ms: silence },
      `worker ${number} has not answered for ${silence / 1000} s: it is killed. A plugin may loop for ever: see its last lines`,
    )
    hand.kill()
  }
}
