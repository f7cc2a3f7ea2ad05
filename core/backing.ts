/** What plugins stand on: the store and the database, opened once per setting and shared by the gateways that come and go. */
import type { Settings } from './config/schema.ts'
import type { Database } from './database/database.ts'
import type { House } from './gateway.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'

export interface Backing {
  readonly store: Store
  /** Null where gateway.yaml has none. */
  readonly database: Database | null
  /** Lets go of both; the last gateway closes them. */
  end(): Promise<void>
}

/** Opens both and waits for neither: a gateway listens while they are still coming up. */
export async function openBacking(settings: Settings, { shared, log }: House): Promise<Backing> {
  const wanted = settings.store.reveal()
  const storeKey = `store ${wanted}`
  const store = await shared.take(
    storeKey,
    () => openStore(wanted, log),
    (open) => open.close(),
  )
  const setting = settings.database.reveal()
  const databaseKey = `database ${settings.migrate} ${setting}`
  const database =
    setting === 'none'
      ? null
      : await shared.take(
          databaseKey,
          () => openPrepared(setting, settings.migrate, log),
          (open) => open.close(),
        )
  return {
    store,
    database,
    async end() {
      if (database) await shared.release(databaseKey)
      await shared.release(storeKey)
    },
  }
}

/** What a configuration does not use is not loaded. */
async function openPrepared(setting: string, migrate: Settings['migrate'], log: House['log']): Promise<Database> {
  const { openDatabase } = await import('./database/database.ts')
  const { prepared } = await import('./database/prepared.ts')
  const wanted = setting.startsWith('embedded:') ? { embedded: setting.slice('embedded:'.length) } : setting
  return prepared(openDatabase(wanted, log), { migrate }, log)
}
