/**
 * Money through crashes: a real Postern, killed twice with SIGKILL while a hundred clients use it, bills exactly what the provider
 * has told. Run with `node test/run.ts test/slow/billing.slow.ts`.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromUnits, toUnits } from 'postern/access'
import { stringify } from 'yaml'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { billingProvider, useUp, wishing, type Wish } from '../../plugins/usage/billing-provider.fixture.ts'
import { model, priceTable } from '../../plugins/usage/usage.fixture.ts'
import { fakeUpstream } from '../fake-upstream.ts'
import { migratedDatabase } from '../postgres.ts'

const clients = 100
const exchanges = 1000
const program = new URL('../../bin/postern.js', import.meta.url).pathname
const ends: readonly Wish['end'][] = ['document', 'stream', 'stream', 'stream', 'cut', 'leave']

interface Told {
  readonly name: string | null
  readonly isWhole: boolean
}

interface Sum {
  request_id: string
  actual_cost: string
}

describe('money', () => {
  test('survives a process that is killed twice: what clients have seen to its end is billed, once', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'postern-billing-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const { url } = stack.use(await migratedDatabase())
    const db = openDatabase(url, silentLog)
    stack.defer(() => db.close())
    await db.ready()
    await db.query(`INSERT INTO users (id, email, balance) SELECT n, 'user' || n || '@example.com', 1000 FROM generate_series(1, 3) n;
      INSERT INTO api_keys (id, user_id, key_hash) SELECT n, n, sha256(('billing-key-' || n)::bytea) FROM generate_series(1, 3) n`)
    const provider = billingProvider()
    const upstream = stack.use(await fakeUpstream(provider.script))
    const port = await freePort()
    const file = join(folder, 'gateway.yaml')
    await writeFile(join(folder, 'prices.json'), priceTable)
    await writeFile(
      file,
      stringify({
        listen: `127.0.0.1:${port}`,
        admin: { listen: '127.0.0.1:0' },
        database: url,
        plugins: ['api-key-auth', { usage: { prices: join(folder, 'prices.json') } }, 'anthropic'],
        upstreams: [{ name: 'a', provider: 'anthropic', url: upstream.url, key: 'upstream-key' }],
      }),
    )

    let life = start(file, folder)
    stack.defer(() => kill(life))
    let begun = 0
    const told: Told[] = []
    const kills = [300, 600]
    const client = async () => {
      while (begun < exchanges) {
        const at = begun++
        told.push(await exchange(port, at))
        if (told.length !== kills[0]) continue
        kills.shift()
        await kill(life)
        life = start(file, folder)
      }
    }
    await Promise.all(Array.from({ length: clients }, client))
    assert.deepEqual(kills, [])
    assert.equal(told.length, exchanges)

    const journal = join(folder, 'data', 'usage')
    await until('an empty journal', async () => {
      const names = await readdir(journal)
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(journal, name))).size))
      return names.length === 1 && sizes[0] === 0
    })
    const { rows } = await db.query<Sum>('SELECT request_id, actual_cost FROM usage_logs')
    const ledger = new Map(rows.map((row) => [row.request_id, toUnits(row.actual_cost)]))
    assert.equal(ledger.size, rows.length)
    for (const { name, isWhole } of told)
      if (isWhole) assert.ok(ledger.has(name!), `${name} was seen to its end and is not in the ledger`)
    let [spent, inFlight] = [0n, 0]
    for (const [name, cost] of provider.bill) {
      const billed = ledger.get(name)
      if (billed === undefined) inFlight++
      else assert.equal(billed, cost, name)
      spent += billed ?? 0n
    }
    assert.equal(ledger.size + inFlight, provider.bill.size, 'nothing in the ledger that the provider does not know')
    assert.ok(inFlight <= 2 * clients, `${inFlight} exchanges were in flight when the process was killed`)
    const { rows: left } = await db.query<{ sum: string }>('SELECT sum(balance) FROM users')
    assert.equal(fromUnits(toUnits('3000') - toUnits(left[0]!.sum)), fromUnits(spent))
    process.stdout.write(`${ledger.size} billed, ${inFlight} in flight at a kill, ${fromUnits(spent)} USD\n`)
  })
})

/** One exchange; asked again as long as no Postern is there, or it does not know its callers yet. */
async function exchange(port: number, at: number): Promise<Told> {
  const wish: Wish = { end: ends[at % ends.length]!, input: 1 + (at % 7), output: 2 + (at % 31) }
  const init = {
    method: 'POST',
    body: JSON.stringify(wishing(model, wish)),
    headers: { 'content-type': 'application/json', 'x-api-key': `billing-key-${1 + (at % 3)}` },
  }
  for (;;) {
    const { status, name, isWhole } = await useUp(
      (signal) => fetch(`http://127.0.0.1:${port}/v1/messages`, { ...init, signal }),
      wish,
    )
    if (status === 200) return { name, isWhole }
    await sleep(20)
  }
}

function start(file: string, cwd: string): ChildProcess {
  return spawn(process.execPath, [program, 'run', '--config', file], { cwd, stdio: 'ignore' })
}

async function kill(life: ChildProcess): Promise<void> {
  if (life.exitCode !== null || life.signalCode !== null) return
  const gone = once(life, 'exit')
  life.kill('SIGKILL')
  await gone
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  server.close()
  await once(server, 'close')
  return port
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `${what} did not come true`)
    await sleep(20)
  }
}
