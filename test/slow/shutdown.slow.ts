/**
 * SIGTERM in the midst of everything: streams and turns under way, and what the gateway stands on well, dead or frozen. Run with
 * `node test/run.ts test/slow/shutdown.slow.ts`; about a minute.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { listErrors } from '../../core/captured/archive.ts'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { baseOf, connect, responsesUpstream, type TestClient } from '../e2e/websocket-client.fixture.ts'
import { fakeUpstream } from '../fake-upstream.ts'
import { ownServer } from '../postgres.ts'
import { freshRedis, until } from '../redis.ts'
import { GatewayProcess, type Settings } from './gateway-process.fixture.ts'

const streams = 200
const turns = 50
/** `limits.drain`, and what the process may take beyond it, in ms. */
const drain = 3000
const beyond = 20_000

/** What a client has seen of its answer. */
type Seen = 'whole' | 'error event' | 'cut'

describe('SIGTERM with 200 streams and 50 turns under way', () => {
  const faults: Readonly<Record<string, (servers: Servers) => Promise<void> | void>> = {
    'all well': () => {},
    'Redis and PostgreSQL dead': async ({ redis, postgres }) =>
      void (await Promise.all([redis.stop(), postgres.kill()])),
    'Redis frozen': ({ redis }) => redis.pause(),
  }
  for (const [what, fault] of Object.entries(faults)) {
    test(`lets end what can, tells the others, and loses no record: ${what}`, async () => {
      await using stack = new AsyncDisposableStack()
      const folder = await mkdtemp(join(tmpdir(), 'postern-shutdown-'))
      stack.defer(() => rm(folder, { recursive: true, force: true }))
      const servers = await open(stack)
      const settings = settingsOf(servers, folder)
      const gateway = stack.use(await GatewayProcess.begin(settings))
      await isReady(gateway)

      const asked = Array.from({ length: streams }, (_, at) => stream(gateway.url, at))
      const clients = await Promise.all(Array.from({ length: turns }, (_, at) => turn(stack, gateway.url, at)))
      await Promise.all([...asked.map(({ begun }) => begun), ...clients.map((client) => client.next())])
      const underWay = await health(gateway)
      assert.equal(underWay.exchanges, streams + turns)

      await fault(servers)
      const stopping = gateway.stop()
      await until(async () => (await health(gateway)).status === 'draining')
      servers.finish()
      const seen = await Promise.all(asked.map(({ seen }) => seen))
      assert.deepEqual(countsOf(seen), { whole: streams / 2, 'error event': streams / 2 })
      const ends = await Promise.all(clients.map(turnEnd))
      assert.deepEqual(countsOf(ends), { 'response.completed, 1001': turns / 2, 'error, 1001': turns / 2 })

      const { code, ms } = await stopping
      assert.ok(ms < drain + beyond, `it took ${Math.round(ms)} ms`)
      assert.equal(code, 0, JSON.stringify(gateway.lines.filter(({ level }) => level === 'error').slice(-3)))
      console.log(`      ${what}: ended ${Math.round(ms - drain)} ms after its drain`)

      const told = gateway.lines.filter(({ msg }) => msg === 'exchange' || msg === 'the exchange')
      assert.ok(told.length >= streams + turns, `a line for each exchange: ${told.length}`)

      // What the database could not be told then, the journal has kept for the next process.
      servers.redis.resume()
      await servers.postgres.start()
      await using next = await GatewayProcess.begin({ ...settings, store: 'memory' })
      const db = openDatabase(servers.postgres.url, silentLog)
      stack.defer(() => db.close())
      const rows = async () => Number((await db.query('SELECT count(*) FROM usage_logs')).rows[0]?.count)
      await until(async () => (await rows()) >= streams + turns)
      assert.equal(await rows(), streams + turns, 'a row of usage for each, and each once')
      const places = { database: db, file: join(folder, 'errors.jsonl') }
      const { found, problem } = await listErrors(places, {}, 2 * (streams + turns))
      assert.equal(problem, null)
      assert.equal(found.length, (streams + turns) / 2, 'one captured error for each that was ended')
      assert.equal((await health(next)).exchanges, 0)
    })
  }
})

type Servers = Awaited<ReturnType<typeof open>>

/** What stands around the gateway. Streams and turns of even numbers go on to their ends when `finish` is called, the others never. */
async function open(stack: AsyncDisposableStack) {
  const go = Promise.withResolvers<void>()
  const sse = stack.use(
    await fakeUpstream(async ({ body }, response) => {
      const { at } = JSON.parse(body.toString()) as { at: number } // what `stream` sends
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`data: ${JSON.stringify({ id: `s${at}`, choices: [{ delta: { content: 'a' } }], usage })}\n\n`)
      await go.promise
      if (at % 2 === 0) response.end('data: {"choices":[{"delta":{"content":"b"}}]}\n\ndata: [DONE]\n\n')
    }),
  )
  const ws = stack.use(
    await responsesUpstream((say, { at, model }) => {
      const response = { id: `t${String(at)}`, model, usage: { input_tokens: 5, output_tokens: 1 } }
      say({ type: 'response.created', response })
      say({ type: 'response.output_text.delta', delta: 'a' })
      if (Number(at) % 2 === 0) void go.promise.then(() => say({ type: 'response.completed', response }))
    }),
  )
  const redis = stack.use(await freshRedis())
  const postgres = stack.use(await ownServer())
  return { sse, ws, redis, postgres, finish: go.resolve }
}

const usage = { prompt_tokens: 5, completion_tokens: 1 }

function settingsOf({ sse, ws, redis, postgres }: Servers, folder: string): Settings {
  return {
    store: redis.url,
    database: postgres.url,
    limits: { drain: `${drain}ms` },
    plugins: [
      { usage: { journal: join(folder, 'usage') } },
      'openai',
      'sticky-session',
      'concurrency',
      'failover',
      { 'ops-capture': { file: join(folder, 'errors.jsonl') } },
    ],
    upstreams: [
      { name: 'sse', provider: 'openai', url: sse.url, key: 'k', models: ['stream'], slots: 1000, websocket: false },
      { name: 'ws', provider: 'openai', url: baseOf(ws), key: 'k', models: ['turn'], slots: 1000 },
    ],
  }
}

/** Asks for a stream. */
function stream(url: string, at: number): { readonly begun: Promise<void>; readonly seen: Promise<Seen> } {
  const begun = Promise.withResolvers<void>()
  const read = async (): Promise<Seen> => {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'stream', stream: true, at, messages: [] }),
    })
    let text = ''
    try {
      for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
        text += piece
        if (text.includes('\n\n')) begun.resolve()
      }
    } catch {
      return 'cut'
    }
    if (text.endsWith('data: [DONE]\n\n')) return 'whole'
    return /data: \{"error":.*shutting down.*\n\n$/.test(text) ? 'error event' : 'cut'
  }
  const seen = read()
  seen.catch(begun.reject)
  return { begun: begun.promise, seen }
}

/** Begins a turn. */
async function turn(stack: AsyncDisposableStack, url: string, at: number): Promise<TestClient> {
  const client = await connect(`${url}/v1/responses`)
  stack.defer(() => client[Symbol.dispose]())
  client.send({ type: 'response.create', model: 'turn', at, input: [] })
  return client
}

/** The last event of a turn, and the code of the close frame behind it. */
async function turnEnd(client: TestClient): Promise<string> {
  const { code } = await client.closed
  const { type } = JSON.parse(String(client.heard.at(-1))) as { type: string } // every message has one
  return `${type}, ${code}`
}

interface Health {
  readonly status: string
  readonly exchanges: number
}

async function health(gateway: GatewayProcess): Promise<Health> {
  return (await (await fetch(`${gateway.adminUrl}/healthz`)).json()) as Health // what the gateway tells
}

async function isReady(gateway: GatewayProcess): Promise<void> {
  await until(async () => {
    const told = (await (await fetch(`${gateway.adminUrl}/readyz`)).json()) as Record<string, { state: string } | null> // as it tells
    return told.store?.state === 'up' && told.database?.state === 'up'
  })
}

function countsOf(values: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(values, (value) => value)].map(([value, { length }]) => [value, length]))
}
