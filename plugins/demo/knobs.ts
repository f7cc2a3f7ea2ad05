/** The one table of what can be asked of the demo, by the model's name or by a request header. */
import type { IncomingHttpHeaders } from 'node:http'
import { Complaint } from './voice.ts'

/** How long an answer shall be; null: as long as the demo likes. */
export interface Wish {
  readonly chunks: number | null
  readonly tokens: number | null
}

/** What goes wrong on purpose. A number is a status. */
export type Fault = 'cut' | 'reset' | 'stall' | 'stall-mid' | 'error' | 'empty' | number

export interface Knobs extends Wish {
  /** Milliseconds until the first byte. */
  readonly latency: number
  /** Milliseconds between writes. */
  readonly interval: number
  /** Bytes of one write; 0: one event is one write. */
  readonly write: number
  readonly fault: Fault | null
}

interface Row<T> {
  readonly does: string
  readonly sets: T
}

/** What may follow `demo-` in a model's name, or stand in `x-demo-fault`. */
export const suffixes: ReadonlyMap<string, Row<Partial<Knobs>>> = new Map([
  ['slow', { does: 'First byte after 2 s, then 50 ms between events.', sets: { latency: 2000, interval: 50 } }],
  ['long', { does: 'An answer of 1000 pieces.', sets: { chunks: 1000 } }],
  ...[401, 403, 404, 429, 500, 503, 529].map((status) => [String(status), statusRow(status)] as const),
  [
    'cut',
    {
      does: 'The connection is closed in the middle of the answer: in half an event, or in half of the JSON whose whole length was promised.',
      sets: { fault: 'cut' },
    },
  ],
  ['reset', { does: 'The connection is reset before any header.', sets: { fault: 'reset' } }],
  ['stall', { does: 'Headers never come.', sets: { fault: 'stall' } }],
  ['stall-mid', { does: 'The answer stops in the middle; the connection stays open.', sets: { fault: 'stall-mid' } }],
  ['error', { does: "A 200 whose first event (or JSON body) is the API's own error.", sets: { fault: 'error' } }],
  ['empty', { does: 'A 200 with an empty body.', sets: { fault: 'empty' } }],
])

/** The headers that hold a number, with the most they take. They win over the model's name. */
export const numbers = {
  latency: { header: 'x-demo-latency', example: '250', most: 3_600_000, does: 'Milliseconds to the first byte.' },
  interval: {
    header: 'x-demo-interval',
    example: '20',
    most: 3_600_000,
    does: 'Milliseconds between writes. 0, the default: as fast as the client reads, each event its own write.',
  },
  chunks: {
    header: 'x-demo-chunks',
    example: '40',
    most: 100_000,
    does: 'Pieces to say the text in. A piece is at least a word, so the text grows with them.',
  },
  tokens: { header: 'x-demo-tokens', example: '500', most: 1_000_000, does: 'Length of the text, and its usage.' },
  write: {
    header: 'x-demo-write',
    example: '16',
    most: 65_536,
    does: 'Bytes of one write, wherever that cuts an event or a character; each is flushed by itself.',
  },
} as const

const faultHeader = 'x-demo-fault'

/** The names of the models that the demo lists. */
export const models: readonly string[] = ['demo', ...[...suffixes.keys()].map((suffix) => `demo-${suffix}`)]

/** The table of the README. */
export function knobTable(): string {
  const rows = [
    ['model `demo`, or any other name', 'Just answers.'],
    ...[...suffixes].map(([suffix, { does }]) => [`model \`demo-${suffix}\``, does]),
    [
      `header \`${faultHeader}: cut\``,
      'What the model of that suffix does, for any model; also any other status from 400 to 599.',
    ],
    ...Object.values(numbers).map(({ header, example, does }) => [`header \`${header}: ${example}\``, does]),
  ]
  return ['| Ask with | What happens |', '|---|---|', ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n')
}

/** What one request asks for. Throws where a header makes no sense: a knob that is silently ignored wastes an evening. */
export function readKnobs(headers: IncomingHttpHeaders, model: string, latency: number): Knobs {
  const wanted = headers[faultHeader]
  return {
    latency,
    interval: 0,
    chunks: null,
    tokens: null,
    write: 0,
    fault: null,
    ...(model.startsWith('demo-') ? rowOf(model.slice(5))?.sets : undefined),
    ...(wanted === undefined ? undefined : faultOf(String(wanted))),
    ...numbersOf(headers),
  }
}

function faultOf(name: string): Partial<Knobs> {
  const row = rowOf(name)
  if (row === undefined) {
    throw new Complaint(400, `${faultHeader} knows ${[...suffixes.keys()].join(', ')} and statuses from 400 to 599.`)
  }
  return row.sets
}

function rowOf(suffix: string): Row<Partial<Knobs>> | undefined {
  return suffixes.get(suffix) ?? (/^[45]\d\d$/.test(suffix) ? statusRow(Number(suffix)) : undefined)
}

function statusRow(status: number): Row<Partial<Knobs>> {
  const more = status === 429 ? ', with `retry-after: 1`' : ''
  return { does: `Status ${status} with the API's own error body${more}.`, sets: { fault: status } }
}

function numbersOf(headers: IncomingHttpHeaders): Partial<Record<keyof typeof numbers, number>> {
  const found: Partial<Record<keyof typeof numbers, number>> = {}
  for (const [knob, { header, most }] of Object.entries(numbers)) {
    const value = headers[header]
    if (value === undefined) continue
    const number = /^\d{1,9}$/.test(String(value)) ? Number(value) : Infinity
    if (number > most) throw new Complaint(400, `${header} takes a whole number from 0 to ${most}.`)
    // Object.entries forgets the names of the keys.
    found[knob as keyof typeof numbers] = number
  }
  return found
}
