/** Tables and help for a terminal. */
import { everyone, type Option, type Verb } from './admin-words.ts'

export type Cell = string | number | null | Date | readonly string[]

/** A line for the titles, a line for each row; columns as wide as they need. */
export function table(titles: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  if (rows.length === 0) return ['None.']
  const texts = [titles, ...rows.map((row) => row.map(cell))]
  const widths = titles.map((_, at) => Math.max(...texts.map((row) => row[at]?.length ?? 0)))
  return texts.map((row) =>
    row
      .map((text, at) => text.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** What was written into the database by others must not steer the terminal. */
function cell(value: Cell): string {
  if (value === null || value === '') return '-'
  if (value instanceof Date) return value.toISOString().replace(/\.\d+Z$/, 'Z')
  const text = typeof value === 'object' ? value.join(',') || '-' : String(value)
  return text.replaceAll(/\p{Cc}/gu, ' ')
}

/** What can be done with one kind of thing. */
export function helpOf(noun: string, verbs: Readonly<Record<string, Verb>>): string[] {
  const width = Math.max(...Object.keys(verbs).map((name) => name.length))
  return [
    `Usage: postern ${noun} <command>`,
    '',
    ...Object.entries(verbs).map(([name, { says }]) => `  ${name.padEnd(width)}  ${says}`),
    '',
    `Options of each: postern ${noun} <command> --help`,
  ]
}

/** One command, with its options. */
export function helpOfVerb(noun: string, name: string, { words, says, options }: Verb): string[] {
  return [
    `Usage: postern ${[noun, name, ...words].join(' ')} [options]`,
    '',
    says,
    '',
    ...[options, everyone].flatMap((some) => optionLines(some)),
  ]
}

export function optionLines(options: Readonly<Record<string, Option>>): string[] {
  return Object.entries(options).map(([name, { value, says }]) => {
    const spelt = `--${name}${value === undefined ? '' : ` ${value}`}`
    return `  ${spelt.padEnd(26)} ${says}`
  })
}
