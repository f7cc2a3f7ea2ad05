/** The cells of one metric, found by their label values without spelling a key. */
import type { Cell, CellReading } from './metrics-cells.ts'
import { redactText } from './redact.ts'

/** A value for each label. Numbers such as a status stand for their text. */
export type LabelValues<L extends string> = { readonly [label in L]: string | number }

/** What several workers say of the same gauge is one number (their sum, the most, the least), or one of `each`, under a label `worker`. */
export type Across = 'sum' | 'most' | 'least' | 'each'

export interface SeriesOptions<M> {
  readonly name: string
  readonly kind: MetricReading['kind']
  readonly across: Across
  readonly help: string
  readonly labels: readonly string[]
  readonly make: (spelt: string) => M
  /** More combinations than this are one, whose every label is `other`. */
  readonly most: number
  readonly overflowed: () => void
}

/** One combination of label values, and what its cell says. */
export interface Sample extends CellReading {
  readonly labels: Readonly<Record<string, string>>
}

/** A metric as it is now. */
export interface MetricReading {
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** How it is told of several workers together; counters and histograms are added. */
  readonly across: Across
  readonly help: string
  /** The names of its labels, in the order in which they were declared. */
  readonly labels: readonly string[]
  readonly samples: readonly Sample[]
}

type Values = Readonly<Record<string, string | number>>

/** A step from one label to the next; the last leads to the cell. */
interface Step<M> {
  readonly next: Map<string | number, Step<M>>
  cell: M | null
}

export class Series<M extends Cell> {
  readonly #options: SeriesOptions<M>
  readonly #head: string
  readonly #labels: readonly string[]
  readonly #first: Step<M> = { next: new Map(), cell: null }
  readonly #cells: M[] = []
  /** The label values of each cell. */
  readonly #told: Sample['labels'][] = []
  #isOverflowing = false

  constructor(options: SeriesOptions<M>) {
    this.#options = options
    this.#labels = options.labels
    this.#head = headOf(options)
    // Without labels there is one cell, and it is told before anything was counted.
    if (this.#labels.length === 0) this.#add([])
  }

  /** The one cell of a metric without labels. */
  get only(): M {
    return this.#cells[0]!
  }

  with(values: Values): M {
    let step: Step<M> | undefined = this.#first
    for (const label of this.#labels) {
      step = step.next.get(values[label]!)
      if (step === undefined) return this.#find(values)
    }
    return step.cell!
  }

  render(): string {
    if (this.#cells.length === 0) return ''
    let text = this.#head
    for (const cell of this.#cells) text += cell.render()
    return text
  }

  read(): MetricReading {
    const { name, kind, across, help, labels } = this.#options
    return {
      name,
      kind,
      across,
      help,
      labels,
      samples: this.#cells.map((cell, at) => ({ labels: this.#told[at]!, ...cell.read() })),
    }
  }

  /** A combination that was not met in this spelling. */
  #find(values: Values): M {
    const texts = this.#labels.map((label) => this.#textOf(values, label))
    const known = this.#cellAt(texts)
    if (known === null && this.#cells.length >= this.#options.most) return this.#overflow()
    const cell = known ?? this.#add(texts)
    this.#letNumbersLead(values, texts)
    return cell
  }

  /** What is told of a value: no secret, nothing that is no text, and nothing endless. Values may come from clients. */
  #textOf(values: Values, label: string): string {
    const value = values[label]
    if (value === undefined) throw new TypeError(`${this.#options.name} has a label ${label}, and was given none`)
    const text = String(value)
    return text.length > longestValue ? other : redactText(text.toWellFormed())
  }

  #cellAt(texts: readonly string[]): M | null {
    let step: Step<M> | undefined = this.#first
    for (const text of texts) step = step?.next.get(text)
    return step?.cell ?? null
  }

  #add(texts: readonly string[]): M {
    let step = this.#first
    for (const text of texts) {
      let next = step.next.get(text)
      if (!next) step.next.set(text, (next = { next: new Map(), cell: null }))
      step = next
    }
    step.cell = this.#options.make(spellLabels(this.#labels, texts))
    this.#cells.push(step.cell)
    this.#told.push(Object.fromEntries(this.#labels.map((label, at) => [label, texts[at]!])))
    return step.cell
  }

  /** A number is found without spelling it from now on. Texts are not kept twice: of those there is no end. */
  #letNumbersLead(values: Values, texts: readonly string[]): void {
    let step = this.#first
    for (const [at, label] of this.#labels.entries()) {
      const next = step.next.get(texts[at]!)!
      const value = values[label]!
      if (typeof value === 'number') step.next.set(value, next)
      step = next
    }
  }

  #overflow(): M {
    const texts = this.#labels.map(() => other)
    if (!this.#isOverflowing) {
      this.#isOverflowing = true
      this.#options.overflowed()
    }
    return this.#cellAt(texts) ?? this.#add(texts)
  }
}

/** What stands above the lines of a metric. */
export function headOf({ name, help, kind }: Pick<MetricReading, 'name' | 'help' | 'kind'>): string {
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${kind}\n`
}

/** As they stand between the braces. */
export function spellLabels(labels: readonly string[], values: readonly string[]): string {
  return labels.map((label, at) => `${label}="${escapeValue(values[at]!)}"`).join(',')
}

/** What takes the place of a value beyond the bounds. */
const other = 'other'
/** Characters of a value. */
const longestValue = 128

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escapeValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"')
}
