/** A database with accounts in it, and gateways before them. */
import { definePlugin, type Plugin, type Principal } from 'postern/plugin'
import { openDatabase, type Database } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { addAccount, type AccountFields } from '../../core/records/accounts.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../../test/harness.ts'
import { migratedDatabase } from '../../test/postgres.ts'
import { sealerOf } from './seal.ts'

export const secret = 'a secret of the tests, long enough to be one'
export const sealer = sealerOf([secret])

export interface Records extends AsyncDisposable {
  readonly url: string
  readonly db: Database
  /** Adds an account whose key is `key-NAME`. */
  add(name: string, fields?: AccountFields): Promise<number>
}

/** A database with every migration, for a block. */
export async function records(): Promise<Records> {
  const fresh = await migratedDatabase()
  const db = openDatabase(fresh.url, silentLog)
  await db.ready()
  // Its connections are there before the gateway counts what is open.
  await db.transaction((query) => query('SELECT 1'))
  return {
    url: fresh.url,
    db,
    add: (name, fields = {}) =>
      addAccount(db, { name, platform: 'openai', ...fields }, (id) => sealer.seal(id, { key: `key-${name}` })),
    async [Symbol.asyncDispose]() {
      await db.close()
      await fresh[Symbol.asyncDispose]()
    },
  }
}

/** Whoever calls belongs to the group that its header names. */
export const caller: Plugin = definePlugin({
  name: 'caller',
  config: { type: 'object', additionalProperties: false },
  writes: ['principal'],
  setup: () => ({
    onRequest({ headers, facts }) {
      const group = headers['x-group']
      if (typeof group === 'string') facts.principal = { ...someone, groupId: Number(group) }
    },
  }),
})

const someone: Principal = {
  id: 'key:1',
  name: 'a key',
  keyId: 1,
  userId: 1,
  groupId: null,
  group: null,
  concurrency: null,
  billing: 'none',
  rateMultiplier: '1',
}

/** A gateway of openai and accounts on that database. */
export function before(url: string, accounts: object = {}, more: Partial<GatewayOptions> = {}): Promise<TestGateway> {
  return gateway(options(url, accounts, more))
}

export function options(url: string, accounts: object = {}, more: Partial<GatewayOptions> = {}): GatewayOptions {
  return {
    database: url,
    plugins: ['openai', caller, { accounts: { secrets: [secret], allow_private: true, ...accounts } }],
    ...more,
  }
}

/** Asks the gateway for a completion. */
export function ask(
  gw: TestGateway,
  { group, model = 'm' }: { group?: number; model?: string } = {},
): Promise<Response> {
  return fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(group === undefined ? {} : { 'x-group': String(group) }) },
    body: JSON.stringify({ model }),
  })
}

/** Asks until the status is this one; the answer. Fails after three seconds. */
export async function askUntil(
  gw: TestGateway,
  status: number,
  how: Parameters<typeof ask>[1] = {},
): Promise<Response> {
  const deadline = performance.now() + 3000
  for (;;) {
    const answer = await ask(gw, how)
    if (answer.status === status) return answer
    const text = await answer.text()
    if (performance.now() > deadline) throw new Error(`it still answers ${answer.status}: ${text}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
