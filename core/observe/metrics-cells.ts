/** One number, or one row of buckets, for one combination of label values. Its name and labels are spelt when it is made. */

/** Upper bounds of buckets, rising. */
export type Bounds = readonly number[]

export interface Cell {
  /** Its lines, each with its line feed. */
  render(): string
  read(): CellReading
}

/** What a cell says now. */
export interface CellReading {
  /** Of a histogram the sum. */
  readonly value: number
  /** Of a histogram how many fell into each bucket: one for each bound, and one more for what is beyond the last. */
  readonly buckets: { readonly bounds: Bounds; readonly counts: readonly number[] } | null
}

export class CounterCell implements Cell {
  readonly #line: string
  #value = 0

  /** `labels` as they are spelt between the braces, or empty. */
  constructor(name: string, labels: string) {
    this.#line = lineOf(name, labels)
  }

  inc(by = 1): void {
    if (!(by >= 0)) throw new RangeError(`a counter only goes up, not by ${by}`)
    this.#value += by
  }

  render(): string {
    return `${this.#line}${spelt(this.#value)}\n`
  }

  read(): CellReading {
    return { value: this.#value, buckets: null }
  }
}

export class GaugeCell implements Cell {
  readonly #line: string
  #value = 0

  constructor(name: string, labels: string) {
    this.#line = lineOf(name, labels)
  }

  set(value: number): void {
    this.#value = value
  }

  inc(by = 1): void {
    this.#value += by
  }

  dec(by = 1): void {
    this.#value -= by
  }

  render(): string {
    return `${this.#line}${spelt(this.#value)}\n`
  }

  read(): CellReading {
    return { value: this.#value, buckets: null }
  }
}

export class HistogramCell implements Cell {
  readonly #bounds: Bounds
  readonly #lines: readonly string[]
  readonly #sumLine: string
  readonly #countLine: string
  /** How many fell into each bucket, the last one without a bound; added up when they are told. */
  readonly #counts: Float64Array
  #sum = 0

  constructor(name: string, labels: string, bounds: Bounds) {
    this.#bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
    const before = labels === '' ? '' : `${labels},`
    this.#lines = [...bounds.map(String), '+Inf'].map((bound) => lineOf(`${name}_bucket`, `${before}le="${bound}"`))
    this.#sumLine = lineOf(`${name}_sum`, labels)
    this.#countLine = lineOf(`${name}_count`, labels)
  }

  observe(value: number): void {
    if (Number.isNaN(value)) return
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && value > bounds[at]!) at++
    this.#counts[at]!++
    this.#sum += value
  }

  render(): string {
    let text = ''
    let count = 0
    for (const [at, line] of this.#lines.entries()) {
      count += this.#counts[at]!
      text += `${line}${count}\n`
    }
    return `${text}${this.#sumLine}${spelt(this.#sum)}\n${this.#countLine}${count}\n`
  }

  read(): CellReading {
    return { value: this.#sum, buckets: { bounds: this.#bounds, counts: [...this.#counts] } }
  }
}

/** A line up to its value. */
export function lineOf(name: string, labels: string): string {
  return labels === '' ? `${name} ` : `${name}{${labels}} `
}

/** A value as the text format spells it. */
export function spelt(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
