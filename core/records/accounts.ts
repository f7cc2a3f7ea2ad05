/** Accounts, as operators see and change them. Credentials go in sealed, and never come out here. */
import type { Database, Query } from '../database/database.ts'
import { idOf, idsOf } from './find.ts'
import type { Page } from './page.ts'
import { invalid, notFound } from './problem.ts'
import { tellAccount } from './tell.ts'
import { insert, remove, update, type Values } from './write.ts'

export interface AccountFields {
  readonly name?: string
  readonly notes?: string
  readonly platform?: string
  readonly type?: string
  readonly url?: string | null
  /** Null: every model. */
  readonly models?: readonly string[] | null
  readonly extra?: object
  readonly concurrency?: number
  readonly priority?: number
  readonly rate_multiplier?: string
  readonly status?: string
  readonly schedulable?: boolean
  readonly expires_at?: Date | null
  readonly auto_pause_on_expired?: boolean
  /** Names or ids: all that it is in from now on. */
  readonly groups?: readonly string[]
}

export interface AccountRecord {
  readonly id: number
  readonly name: string
  readonly platform: string
  readonly type: string
  readonly url: string | null
  readonly has_credentials: boolean
  readonly models: readonly string[] | null
  readonly groups: readonly string[]
  readonly concurrency: number
  readonly priority: number
  readonly status: string
  readonly schedulable: boolean
  readonly error_message: string | null
  readonly expires_at: Date | null
  readonly last_used_at: Date | null
  readonly rate_limit_reset_at: Date | null
  readonly overload_until: Date | null
  readonly temp_unschedulable_until: Date | null
  readonly temp_unschedulable_reason: string | null
  /** What would be seen now: a status, `expired`, `resting`, or `ready`. */
  readonly state: string
}

/** Seals an account's credentials; the account's id is part of the seal. */
export type Seal = (accountId: number) => Buffer

export async function listAccounts(query: Query, { after, limit }: Page): Promise<AccountRecord[]> {
  const { rows } = await query<AccountRecord>(
    `SELECT a.id, a.name, a.platform, a.type, a.url, a.credentials IS NOT NULL AS has_credentials, a.models, a.concurrency,
       a.priority, a.status, a.schedulable, a.error_message, a.expires_at, a.last_used_at, a.rate_limit_reset_at,
       a.overload_until, a.temp_unschedulable_until, a.temp_unschedulable_reason,
       ARRAY(SELECT g.name FROM account_groups m JOIN groups g ON g.id = m.group_id WHERE m.account_id = a.id ORDER BY g.id) AS groups,
       CASE WHEN a.status <> 'active' THEN a.status
         WHEN NOT a.schedulable THEN 'paused'
         WHEN a.auto_pause_on_expired AND a.expires_at <= now() THEN 'expired'
         WHEN greatest(a.rate_limit_reset_at, a.overload_until, a.temp_unschedulable_until) > now() THEN 'resting'
         ELSE 'ready' END AS state
     FROM accounts a WHERE a.deleted_at IS NULL AND a.id > $1 ORDER BY a.id LIMIT $2`,
    [after, limit],
  )
  return rows
}

/** Returns the id. Without a seal the client's own credential is passed on. Throws RecordProblem. */
export function addAccount(
  db: Database,
  fields: AccountFields & { readonly name: string; readonly platform: string },
  seal: Seal | null,
): Promise<number> {
  if (fields.name.trim() === '') throw invalid('an account needs a name')
  if (fields.platform.trim() === '') throw invalid('an account needs a platform')
  return db.transaction(async (query) => {
    const id = await insert(query, 'accounts', columns(fields))
    if (seal) await update(query, 'accounts', id, { credentials: seal(id) })
    await putInto(query, id, fields.groups)
    await tellAccount(query, id)
    return id
  })
}

/** `which`: a name or an id. Returns the id. Throws RecordProblem. */
export function setAccount(
  db: Database,
  which: string,
  fields: AccountFields,
  seal: Seal | null = null,
): Promise<number> {
  return change(db, which, async (query, id) => {
    const values = { ...columns(fields), credentials: seal?.(id) }
    const isGroupsAlone = fields.groups !== undefined && Object.values(values).every((value) => value === undefined)
    if (!isGroupsAlone) await update(query, 'accounts', id, values)
    await putInto(query, id, fields.groups)
  })
}

/** Not asked any more, until it is enabled. */
export function disableAccount(db: Database, which: string): Promise<number> {
  return change(db, which, async (query, id) => void (await update(query, 'accounts', id, { status: 'inactive' })))
}

/** Asked again, whatever has set it aside. */
export function enableAccount(db: Database, which: string): Promise<number> {
  const values = { status: 'active', schedulable: true, error_message: null }
  return change(db, which, async (query, id) => void (await update(query, 'accounts', id, values)), true)
}

/** Left alone for so many ms. An operator's word may shorten what was there. */
export function restAccount(db: Database, which: string, ms: number, reason: string): Promise<number> {
  return change(db, which, async (query, id) => {
    await query(
      `UPDATE accounts SET temp_unschedulable_until = now() + $2 * interval '1 millisecond', temp_unschedulable_reason = $3,
         updated_at = now() WHERE id = $1`,
      [id, ms, reason],
    )
  })
}

/** Every rest ends, and so does an error for which it was set aside; one that an operator has disabled stays so. */
export function wakeAccount(db: Database, which: string): Promise<number> {
  return change(
    db,
    which,
    async (query, id) => {
      await query(
        `UPDATE accounts SET rate_limited_at = NULL, rate_limit_reset_at = NULL, overload_until = NULL,
           temp_unschedulable_until = NULL, temp_unschedulable_reason = NULL, extra = extra - 'model_rate_limits',
           status = CASE WHEN status = 'error' THEN 'active' ELSE status END, error_message = NULL, updated_at = now()
         WHERE id = $1`,
        [id],
      )
    },
    true,
  )
}

export function removeAccount(db: Database, which: string): Promise<number> {
  return change(db, which, async (query, id) => {
    // What cannot be asked for any more need not be kept.
    await query('UPDATE accounts SET credentials = NULL WHERE id = $1', [id])
    await remove(query, 'accounts', id)
  })
}

/** Gives each sealed credential to `reseal`, and writes down what it makes of it, if anything; returns how many. */
export async function resealAccounts(
  db: Database,
  reseal: (accountId: number, sealed: Buffer) => Buffer | null,
): Promise<number> {
  return db.transaction(async (query) => {
    const { rows } = await query<{ id: number; credentials: Buffer }>(
      'SELECT id, credentials FROM accounts WHERE credentials IS NOT NULL AND deleted_at IS NULL ORDER BY id FOR UPDATE',
    )
    const anew = rows.flatMap(({ id, credentials }) => {
      const sealed = reseal(id, credentials)
      return sealed ? [{ id, sealed }] : []
    })
    if (anew.length === 0) return 0
    await query(
      `UPDATE accounts a SET credentials = n.sealed, updated_at = now()
       FROM unnest($1::bigint[], $2::bytea[]) AS n (id, sealed) WHERE a.id = n.id`,
      [anew.map(({ id }) => id), anew.map(({ sealed }) => sealed)],
    )
    await tellAccount(query, 'all')
    return anew.length
  })
}

function change(
  db: Database,
  which: string,
  act: (query: Query, id: number) => Promise<void>,
  isWoken = false,
): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'account', which)
    // Two operators take turns; and who was deleted meanwhile is not there.
    const { rowCount } = await query('SELECT FROM accounts WHERE id = $1 AND deleted_at IS NULL FOR UPDATE', [id])
    if (rowCount === 0) throw notFound('account', which)
    await act(query, id)
    await tellAccount(query, id, isWoken)
    return id
  })
}

async function putInto(query: Query, id: number, groups: readonly string[] | undefined): Promise<void> {
  if (!groups) return
  const ids = await idsOf(query, 'group', groups)
  await query('DELETE FROM account_groups WHERE account_id = $1 AND group_id <> ALL($2::bigint[])', [id, ids])
  await query(
    'INSERT INTO account_groups (account_id, group_id) SELECT $1, g FROM unnest($2::bigint[]) g ON CONFLICT DO NOTHING',
    [id, ids],
  )
}

function columns({ groups: _groups, url, models, extra, ...fields }: AccountFields): Values {
  if (typeof url === 'string') checkUrl(url)
  return { ...fields, url, models: models && JSON.stringify(models), extra: extra && JSON.stringify(extra) }
}

function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null
  const isPlain = url && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (!isPlain || !/^https?:$/.test(url.protocol))
    throw invalid('the address must begin with http:// or https:// and have neither user nor query nor fragment')
}
