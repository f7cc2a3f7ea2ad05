/** Figures of a scenario that compares no rivals: a table of its own. */
export interface Sheet {
  readonly scenario: string
  readonly title: string
  readonly columns: readonly string[]
  /** Behind the point, for the numbers of each column. */
  readonly digits: readonly number[]
  readonly rows: readonly (readonly (string | number)[])[]
  /** What was left out, or could not be had in full. */
  readonly notes: readonly string[]
  /** Cores that others used meanwhile, the median; absent where it is no matter of CPU. */
  readonly otherLoad?: number
}

/** As Markdown; `mark` says what others have disturbed. */
export function sheetTable({ title, columns, digits, rows, notes }: Sheet, mark: string): string {
  const cell = (value: string | number, at: number) => (typeof value === 'number' ? value.toFixed(digits[at]) : value)
  return [
    `**${title}**${mark}`,
    '',
    `| ${columns.join(' | ')} |`,
    `|---|${columns
      .slice(1)
      .map(() => '--:|')
      .join('')}`,
    ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`),
    ...notes.flatMap((note) => ['', note]),
  ].join('\n')
}
