/** What plugins stand on: the store, the database, who may call, where exchanges can be sent. */
import type { Access } from './access/access.ts'
import type { Config } from './config/load.ts'
import type { Settings } from './config/schema.ts'
import type { Database } from './database/database.ts'
import type { Group } from './ending.ts'
import type { House } from './gateway.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'
import { loadUndici } from './upstream/undici-client.ts'
import { Upstreams } from './upstream/upstreams.ts'

export interface Backing {
  readonly store: Store
  /** Null where gateway.yaml has none. */
  readonly database: Database | null
  readonly upstreams: Upstreams
  /** Opened for the first plugin that asks who may call. */
  access(): Promise<Access>
  /** What has to be let go of: the store, and last of all the database. The last gateway that shares a part closes it. */
  groups(): readonly Group[]
}

/** Opens store and database, once per setting, and waits for neither: a gateway listens while they are still coming up. */
export async function openBacking(
  config: Config,
  { shared, log, metrics, resolve, isOnlyRead = false }: House,
): Promise<Backing> {
  const { settings } = config
  const releases: Partial<Record<'access' | 'store' | 'database', () => Promise<void>>> = {}
  const take = <T>(
    part: keyof typeof releases,
    key: string,
    open: () => T | Promise<T>,
    close: (it: T) => void | Promise<void>,
  ): Promise<T> => {
    releases[part] = () => shared.release(key)
    return shared.take(key, open, close)
  }
  const setting = settings.database.reveal()
  const wanted = isOnlyRead ? 'memory' : settings.store.reveal()
  const store = await take(
    'store',
    `store ${wanted}`,
    () => openStore(wanted, log),
    (open) => open.close(),
  )
  const database =
    setting === 'none'
      ? null
      : await take(
          'database',
          `database ${settings.migrate} ${setting}`,
          () => (isOnlyRead ? openNothing() : openPrepared(setting, settings.migrate, log)),
          (open) => open.close(),
        )
  if (config.settings.transport === 'undici') await loadUndici()
  const upstreams = new Upstreams(config, shared, metrics, resolve)
  let access: Promise<Access> | null = null
  return {
    store,
    database,
    upstreams,
    access: () =>
      (access ??= import('./access/access.ts').then(({ openAccess }) =>
        openAccess(
          config.keys,
          { store, database },
          (open, close) => take('access', `access ${setting}`, open, close),
          log,
          metrics,
        ),
      )),
    groups: () => [
      {
        within: 1000,
        parts: [
          { name: 'connections to upstreams', end: () => upstreams.close() },
          { name: 'who may call', end: () => releases.access?.() },
        ],
      },
      { within: 1000, parts: [{ name: 'the store', end: () => releases.store?.() }] },
      // PostgreSQL may be a child of ours, and writes down what it holds before it ends.
      { within: 3000, parts: [{ name: 'the database', end: () => releases.database?.() }] },
    ],
  }
}

async function openNothing(): Promise<Database> {
  const { unopened } = await import('./database/unopened.ts')
  return unopened
}

/** What a configuration does not use is not loaded. */
async function openPrepared(setting: string, migrate: Settings['migrate'], log: House['log']): Promise<Database> {
  const { openDatabase } = await import('./database/database.ts')
  const { prepared } = await import('./database/prepared.ts')
  return prepared(openDatabase(setting, log), { migrate }, log)
}
