/** A database that nobody opens: for commands that only say what a configuration compiles to. */
import { DatabaseUnavailable } from './connection.ts'
import type { Database } from './database.ts'

const refused = (): Promise<never> => Promise.reject(new DatabaseUnavailable('the database was not opened'))

export const unopened: Database = {
  kind: 'postgres',
  state: 'down',
  lastError: null,
  query: refused,
  transaction: refused,
  session: refused,
  ready: refused,
  listen: async () => async () => {},
  close: async () => {},
}
