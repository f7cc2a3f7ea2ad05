/** How an upstream has done of late: moving averages that forget with time as well as with each new result. */

/** The weight of the newest result. */
const alpha = 0.2
/** After this long without a result an average has lost half of its say, in ms. */
const halfLife = 300_000
/** After this long the pace of an upstream counts as unknown, in ms. */
const paceLife = 600_000

export class Health {
  #errors = 0
  #results = 0
  #notedAt = 0
  readonly #stream = new Pace()
  readonly #whole = new Pace()

  /** The share of errors, from 0 to 1; 0 where nothing is known. */
  errors(now: number): number {
    return this.#errors === 0 ? 0 : this.#errors * this.#left(now)
  }

  /** How many results stand behind it, old ones counted in part. */
  results(now: number): number {
    return this.#results * this.#left(now)
  }

  /** The time to the first content in ms, null where it is not known. Streams are never compared with whole answers. */
  pace(isStream: boolean, now: number): number | null {
    return (isStream ? this.#stream : this.#whole).at(now)
  }

  note(isError: boolean, now: number): void {
    const left = this.#left(now)
    this.#errors = this.#errors * left * (1 - alpha) + (isError ? alpha : 0)
    this.#results = this.#results * left + 1
    this.#notedAt = now
  }

  notePace(isStream: boolean, ms: number, now: number): void {
    const pace = isStream ? this.#stream : this.#whole
    pace.note(ms, now)
  }

  /** Errors of before say nothing any more. */
  forget(): void {
    this.#errors = 0
    this.#results = 0
  }

  #left(now: number): number {
    const age = now - this.#notedAt
    // Most are asked about again at once: no power has to be taken for those.
    return age < 1000 ? 1 : 2 ** (-age / halfLife)
  }
}

class Pace {
  #ms = -1
  #notedAt = 0

  at(now: number): number | null {
    return this.#ms < 0 || now - this.#notedAt > paceLife ? null : this.#ms
  }

  note(ms: number, now: number): void {
    const known = this.at(now)
    this.#ms = known === null ? ms : known + alpha * (ms - known)
    this.#notedAt = now
  }
}
