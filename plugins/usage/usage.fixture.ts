/** What the tests of usage have in common: a gateway that bills into a database, and callers that a header names. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin, type Database, type Principal } from 'postern/plugin'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { fakeUpstream, type FakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../../test/harness.ts'
import { migratedDatabase } from '../../test/postgres.ts'

/** Waits for a condition, at most ten seconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `${what} did not come true`)
    await sleep(5)
  }
}

/** A caller who pays nothing, and everything that a test says otherwise. */
export function caller(more: Partial<Principal> = {}): Principal {
  return {
    id: 'tester',
    name: 'tester',
    keyId: null,
    userId: null,
    groupId: null,
    group: null,
    concurrency: null,
    billing: 'none',
    rateMultiplier: '1',
    ...more,
  }
}

/** A wallet of the database's, with a key of its own. */
export const wallet = (id: number, more: Partial<Principal> = {}): Principal =>
  caller({ id: `key:${id}`, name: `key ${id}`, keyId: id, userId: id, billing: 'balance', ...more })

/** Says who calls, from a header in the place of a key. */
export const whoami = definePlugin({
  name: 'whoami',
  config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
  writes: ['principal'],
  setup: () => ({
    onRequest({ headers, facts }) {
      const told = headers['x-caller']
      if (typeof told === 'string') facts.principal = JSON.parse(told) as Principal // written by `ask` below
    },
  }),
})

/** A price of one dollar for a million tokens of input, ten for output, in whole units of 10⁻¹⁰: 10 000 and 100 000 a token. */
export const model = 'gpt-test'
export const priceTable = JSON.stringify({
  [model]: {
    input_cost_per_token: '0.000001',
    output_cost_per_token: '0.00001',
    cache_read_input_token_cost: '0.0000001',
    cache_creation_input_token_cost: '0.00000125',
    cache_creation_input_token_cost_above_1hr: '0.000002',
    max_output_tokens: 1000,
  },
})

export interface Scene extends AsyncDisposable {
  readonly gw: TestGateway
  readonly upstream: FakeUpstream
  /** A connection of the test's own. */
  readonly db: Database
  readonly folder: string
  ask(principal?: Principal | null, body?: object, init?: RequestInit & { path?: string }): Promise<Response>
  rows(): Promise<Row[]>
  balanceOf(user: number): Promise<string>
}

export interface Row {
  readonly request_id: string
  readonly outcome: string
  readonly usage_source: string
  readonly actual_cost: string
  readonly total_cost: string
  readonly [column: string]: unknown
}

export interface SceneOptions {
  readonly usage?: Record<string, unknown>
  /** Plugins that stand above usage, and between it and the providers. */
  readonly above?: readonly string[]
  readonly below?: GatewayOptions['plugins']
  readonly gateway?: Partial<GatewayOptions>
  readonly seed?: string
  /** Where the gateway finds the database, if not where the test does. */
  readonly through?: (url: string) => string
  /** The test begins without waiting for the gateway's database. */
  readonly isDown?: boolean
}

/** Users 1 to 3 with ten dollars and a key each. */
export const seed = `
  INSERT INTO users (id, email, balance) SELECT n, 'user' || n || '@example.com', 10 FROM generate_series(1, 3) n;
  INSERT INTO api_keys (id, user_id, key_hash) SELECT n, n, sha256(n::text::bytea) FROM generate_series(1, 3) n;`

/** A gateway with a database of its own. It waits until the schema can be used. */
export async function scene(script: Script, options: SceneOptions = {}): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'postern-usage-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const { url } = stack.use(await migratedDatabase())
  const db = openDatabase(url, silentLog)
  stack.defer(() => db.close())
  await db.ready()
  await db.query(options.seed ?? seed)
  const prices = join(folder, 'prices.json')
  await writeFile(prices, priceTable)
  const upstream = stack.use(await fakeUpstream(script))
  const gw = stack.use(
    await gateway({
      plugins: [
        whoami,
        ...(options.above ?? []),
        { usage: { prices, journal: join(folder, 'journal'), ...options.usage } },
        ...(options.below ?? []),
        ...['openai', 'anthropic', 'gemini'].filter((name) => !options.above?.includes(name)),
      ],
      upstreams: ['openai', 'anthropic', 'gemini'].map((provider) => ({ name: provider, provider, url: upstream.url })),
      database: options.through?.(url) ?? url,
      ...options.gateway,
    }),
  )
  if (!options.isDown)
    await until('a database that is up', () => gw.sidecar.server.gateway.backing.database?.state === 'up')
  const held = stack.move()
  return {
    gw,
    upstream,
    db,
    folder,
    ask: (principal = wallet(1), body = { model, max_tokens: 100 }, { path = '/v1/chat/completions', ...init } = {}) =>
      fetch(`${gw.url}${path}`, {
        method: 'POST',
        body: init.method === 'GET' ? undefined : JSON.stringify(body),
        ...init,
        headers: {
          'content-type': 'application/json',
          ...(principal && { 'x-caller': JSON.stringify(principal) }),
          ...(init.headers as Record<string, string> | undefined), // as tests write them
        },
      }),
    rows: async () => (await db.query<Row>('SELECT * FROM usage_logs ORDER BY id')).rows,
    balanceOf: async (user) =>
      (await db.query<{ balance: string }>('SELECT balance FROM users WHERE id = $1', [user])).rows[0]!.balance,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** A chat's answer with so many tokens. */
export const chat = (input: number, output: number, more: object = {}) => ({
  id: `chatcmpl-${Math.random().toString(36).slice(2).padEnd(20, '0')}`,
  object: 'chat.completion',
  model,
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: input, completion_tokens: output, prompt_tokens_details: { cached_tokens: 0 } },
  ...more,
})

/** Answers each time with another one: an answer's name is billed once. */
export function serving(make: () => object): Script {
  return (_asked, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(make()))
  }
}
