/** What plugins stand on: the store, the database, who may call, where exchanges can be sent. */
import { openAccess, type Access } from './access/access.ts'
import type { Config } from './config/load.ts'
import type { Settings } from './config/schema.ts'
import type { Database } from './database/database.ts'
import type { House } from './gateway.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'
import { Upstreams } from './upstream/upstreams.ts'

export interface Backing {
  readonly store: Store
  /** Null where gateway.yaml has none. */
  readonly database: Database | null
  readonly upstreams: Upstreams
  /** Opened for the first plugin that asks who may call. */
  access(): Promise<Access>
  /** Lets go of all; the last gateway that shares a part closes it. */
  end(): Promise<void>
}

/** Opens store and database, once per setting, and waits for neither: a gateway listens while they are still coming up. */
export async function openBacking(
  config: Config,
  { shared, log, resolve, isOnlyRead = false }: House,
): Promise<Backing> {
  const { settings } = config
  const taken: string[] = []
  const take = <T>(key: string, open: () => T | Promise<T>, close: (it: T) => void | Promise<void>): Promise<T> => {
    taken.push(key)
    return shared.take(key, open, close)
  }
  const setting = settings.database.reveal()
  const wanted = isOnlyRead ? 'memory' : settings.store.reveal()
  const store = await take(
    `store ${wanted}`,
    () => openStore(wanted, log),
    (open) => open.close(),
  )
  const database =
    setting === 'none'
      ? null
      : await take(
          `database ${settings.migrate} ${setting}`,
          () => (isOnlyRead ? openNothing() : openPrepared(setting, settings.migrate, log)),
          (open) => open.close(),
        )
  const upstreams = new Upstreams(config, shared, resolve)
  let access: Promise<Access> | null = null
  return {
    store,
    database,
    upstreams,
    access: () =>
      (access ??= openAccess(
        config.keys,
        { store, database },
        (open, close) => take(`access ${setting}`, open, close),
        log,
      )),
    async end() {
      await upstreams.close()
      for (const key of taken.toReversed()) await shared.release(key)
    },
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
