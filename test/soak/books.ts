/** Three books that have to agree: what the upstream says it has served, what clients have seen, and what was billed. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromUnits, toUnits } from 'postern/access'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { allMoney } from './settings.ts'
import type { Served } from './upstream.ts'

export interface Books {
  /** By the name of the answer. */
  readonly served: ReadonlyMap<string, Served>
  readonly billed: ReadonlyMap<string, Billed>
  /** What does not agree, whoever is right. */
  readonly wrong: readonly string[]
  /** Served, to an end or not, and not billed. */
  readonly unbilled: readonly Served[]
  /** Errors that ops-capture has written into the database. */
  readonly captured: number
}

interface Billed {
  readonly request_id: string
  readonly input_tokens: string | number
  readonly output_tokens: string | number
  readonly outcome: string
  readonly actual_cost: string
}

/** `seen`: the names of answers that clients have had whole. */
export async function compareBooks(
  database: string,
  ledger: readonly Served[],
  seen: ReadonlySet<string>,
): Promise<Books> {
  const db = openDatabase(database, silentLog)
  try {
    await db.ready()
    const { rows } = await db.query<Billed>(
      'SELECT request_id, input_tokens, output_tokens, outcome, actual_cost FROM usage_logs',
    )
    const { rows: left } = await db.query<{ sum: string }>('SELECT sum(balance) FROM users')
    const { rows: errors } = await db.query<{ count: string }>('SELECT count(*) FROM ops_error_logs')
    const captured = Number(errors[0]!.count)
    const served = new Map(ledger.map((one) => [one.name, one]))
    const billed = new Map(rows.map((row) => [row.request_id, row]))
    const wrong = rows.flatMap((row) => wrongOf(row, served.get(row.request_id), seen.has(row.request_id)))
    if (billed.size !== rows.length) wrong.push(`${rows.length - billed.size} answers are billed twice`)
    for (const name of seen) if (!billed.has(name)) wrong.push(`${name} was seen whole and is not billed`)
    const spent = rows.reduce((sum, row) => sum + toUnits(row.actual_cost), 0n)
    const paid = allMoney - toUnits(left[0]!.sum)
    if (spent !== paid) wrong.push(`rows say ${fromUnits(spent)} USD were spent, balances ${fromUnits(paid)}`)
    return { served, billed, wrong, unbilled: ledger.filter(({ name }) => !billed.has(name)), captured }
  } finally {
    await db.close()
  }
}

function wrongOf(row: Billed, served: Served | undefined, wasSeen: boolean): string[] {
  const [input, output] = [Number(row.input_tokens), Number(row.output_tokens)]
  // A row of its own name: nothing was told of tokens before the end, so it may cost nothing.
  if (served === undefined)
    return input + output === 0 ? [] : [`${row.request_id} is billed and was never served: ${JSON.stringify(row)}`]
  const isExact = input === served.input && output === served.output
  if (wasSeen && !isExact)
    return [`${row.request_id} is billed as ${input} + ${output}, not ${served.input} + ${served.output}`]
  return input <= served.input && output <= served.output
    ? []
    : [`${row.request_id} is billed for more than was served`]
}

/** Resolves when everything that was counted is in the database; the number of bytes that are still in the journal after `most` ms. */
export async function emptyJournal(folder: string, most: number): Promise<number> {
  const deadline = performance.now() + most
  for (;;) {
    const names = await readdir(folder).catch(() => [])
    const sizes = await Promise.all(
      names.map((name) =>
        stat(join(folder, name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
    )
    const left = sizes.reduce((sum, size) => sum + size, 0)
    if (left === 0 || performance.now() > deadline) return left
    await sleep(100)
  }
}
