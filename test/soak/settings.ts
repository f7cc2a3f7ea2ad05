/** gateway.yaml of these programs, the keys of its callers, and what models cost. */
import { globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toUnits } from 'postern/access'
import { openDatabase } from '../../core/database/database.ts'
import { shippedMigrations } from '../../core/database/files.ts'
import { up } from '../../core/database/migrate.ts'
import { silentLog } from '../../core/observe/log.ts'
import type { Settings } from './gateway.ts'

/** Names under which the upstream answers: one that is well, and two that do what a question says goes wrong. */
export const upstreamNames = ['well', 'moody-a', 'moody-b'] as const

const callers = 3
const balance = '1000000'

/** The keys of callers who pay. */
export const keys = Array.from({ length: callers }, (_, at) => `soak-key-of-caller-${at + 1}`)

export interface Places {
  readonly folder: string
  readonly redis: string
  readonly database: string
  readonly upstreams: Readonly<Record<(typeof upstreamNames)[number], string>>
  /** How long the slots of a process that was killed are lost. */
  readonly lease?: string
}

/** Every plugin that ships, but otel, which tells a collector that is none. `round` changes something, so that a reload has something to do. */
export function everything({ folder, redis, database, upstreams, lease = '10s' }: Places, round = 0): Settings {
  const plugins: (string | Record<string, object>)[] = [
    'security-headers',
    'console',
    { priority: { rules: [{ level: 'low', header: { name: 'x-batch' } }] } },
    { 'ip-rules': { deny: ['203.0.113.0/24'] } },
    'google-auth',
    'api-key-auth',
    'metadata-bridge',
    'header-filter',
    'anthropic',
    'openai',
    'gemini',
    'antigravity',
    'sora',
    'demo',
    { 'body-patch': { delete: ['never_there'] } },
    'accounts',
    'sticky-session',
    { concurrency: { ttl: lease } },
    { failover: { attempts: 3 + (round % 2) } },
    { usage: { prices: join(folder, 'prices.json'), journal: join(folder, 'usage') } },
    { 'ops-capture': { file: join(folder, 'errors.jsonl') } },
    { otel: { endpoint: upstreams.well, traces: false, metrics: false } },
  ]
  const named = new Set(plugins.map((one) => (typeof one === 'string' ? one : Object.keys(one)[0])))
  const shipped = globSync('*/index.ts', { cwd: fileURLToPath(new URL('../../plugins/', import.meta.url)) })
  const missing = shipped.map((file) => file.split('/')[0]!).filter((name) => !named.has(name))
  if (missing.length > 0) throw new Error(`test/soak/settings.ts does not name the plugin ${missing.join(', ')}`)
  const at = (name: keyof typeof upstreams, provider: string, models: string[]) => ({
    name: `${name}-${provider}`,
    provider,
    url: upstreams[name],
    key: `upstream-key-of-${name}`,
    models,
    slots: 500,
    priority: name === 'moody-b' ? 2 : 1,
  })
  const providers = ['openai', 'anthropic', 'gemini']
  return {
    store: redis,
    database,
    limits: { drain: '5s' },
    plugins,
    upstreams: providers.flatMap((provider) => [
      at('well', provider, ['well']),
      at('moody-a', provider, ['moody']),
      at('moody-b', provider, ['moody']),
    ]),
  }
}

/** Migrates the database and makes callers with money in it; writes the prices into the folder. */
export async function prepare(database: string, folder: string): Promise<void> {
  const price = { input_cost_per_token: '0.000001', output_cost_per_token: '0.00001', max_output_tokens: 1000 }
  await writeFile(join(folder, 'prices.json'), JSON.stringify({ well: price, moody: price }))
  const db = openDatabase(database, silentLog)
  try {
    await up(db, { folder: shippedMigrations })
    await db.query(
      `INSERT INTO users (id, email, balance) SELECT n, 'user' || n || '@example.com', ${balance} FROM generate_series(1, ${callers}) n`,
    )
    await db.query(
      'INSERT INTO api_keys (id, user_id, key_hash) SELECT n, n, sha256(convert_to(key, $2)) FROM unnest($1::text[]) WITH ORDINALITY AS one (key, n)',
      [keys, 'UTF8'],
    )
  } finally {
    await db.close()
  }
}

/** What all callers together had, in whole units of 10⁻¹⁰ USD. */
export const allMoney = BigInt(callers) * toUnits(balance)
