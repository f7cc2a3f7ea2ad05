/** Statements that are put together from the fields that are to change. No name gets into one that is not in the list below. */
import { sqlState, type Query } from '../database/database.ts'
import { invalid, RecordProblem } from './problem.ts'

/** What may be written by its name, whoever asks. */
const writable = {
  users: columns('email username role status balance concurrency notes'),
  groups: columns(
    `name description platform status subscription_type rate_multiplier sort_order daily_limit_usd weekly_limit_usd
     monthly_limit_usd default_validity_days model_routing model_routing_enabled`,
  ),
  api_keys: columns('user_id group_id name key_hash key_prefix status ip_whitelist ip_blacklist quota expires_at'),
  accounts: columns(
    `name notes platform type url credentials models extra concurrency priority rate_multiplier status error_message
     schedulable expires_at auto_pause_on_expired`,
  ),
}

export type Table = keyof typeof writable

/** Column → value. What is undefined stays as it is. */
export type Values = Readonly<Record<string, unknown>>

/** Adds a row and returns its id. */
export async function insert(query: Query, table: Table, values: Values): Promise<number> {
  const given = present(table, values)
  const { rows } = await refusing(
    query<{ id: number }>(
      `INSERT INTO ${table} (${given.map(([column]) => column).join(', ')})
       VALUES (${given.map((_, at) => `$${at + 1}`).join(', ')}) RETURNING id`,
      given.map(([, value]) => value),
    ),
  )
  return rows[0]!.id
}

/** Changes a row that is not deleted; whether there is one. */
export async function update(query: Query, table: Table, id: number, values: Values): Promise<boolean> {
  const given = present(table, values)
  if (given.length === 0) throw invalid('nothing is to be changed')
  const { rowCount } = await refusing(
    query(
      `UPDATE ${table} SET ${given.map(([column], at) => `${column} = $${at + 2}`).join(', ')}, updated_at = now()
       WHERE id = $1 AND deleted_at IS NULL`,
      [id, ...given.map(([, value]) => value)],
    ),
  )
  return rowCount === 1
}

/** As `update`, and deletes it: the row stays for what refers to it. */
export async function remove(query: Query, table: Table, id: number): Promise<boolean> {
  const { rowCount } = await query(
    `UPDATE ${table} SET deleted_at = now(), updated_at = now() WHERE id = $1 AND deleted_at IS NULL`,
    [id],
  )
  return rowCount === 1
}

function columns(names: string): ReadonlySet<string> {
  return new Set(names.split(/\s+/))
}

function present(table: Table, values: Values): [column: string, value: unknown][] {
  const given = Object.entries(values).filter(([, value]) => value !== undefined)
  for (const [column] of given)
    if (!writable[table].has(column)) throw invalid(`${table} have no ${JSON.stringify(column)}`)
  return given
}

/** What the schema refuses is the operator's to repair. */
async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const problem = problemOf(sqlState(error), error)
    throw problem ?? error
  }
}

function problemOf(state: string, error: unknown): RecordProblem | null {
  const constraint =
    typeof error === 'object' && error !== null && 'constraint' in error ? String(error.constraint) : ''
  if (state === '23505') return new RecordProblem('TAKEN', taken[constraint] ?? `${constraint} is taken`)
  if (state === '23503') return new RecordProblem('NOT_FOUND', `what ${constraint} refers to is not there`)
  // A check, a number out of range, a text that is none of the kind.
  if (state === '23514') return invalid(`the value is not allowed (${constraint})`)
  return state.startsWith('22') && error instanceof Error ? invalid(error.message) : null
}

const taken: Readonly<Record<string, string>> = {
  users_email_key: 'there is a user with this email already',
  groups_name_key: 'there is a group of this name already',
  accounts_name_key: 'there is an account of this name already',
  api_keys_key_hash_key: 'this key is in use, or was',
}
