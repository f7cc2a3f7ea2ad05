import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gateway } from '../../test/harness.ts'
import { billingProvider, wishing, type Wish } from './billing-provider.fixture.ts'
import { postgresLine } from './line.fixture.ts'
import { rowFor } from './row.fixture.ts'
import { caller, chat, model, scene, serving, until, wallet, whoami, type Scene } from './usage.fixture.ts'

/** Eleven tokens of input and one of output: 210 000 units. */
const answer = serving(() => chat(11, 1))
const cost = 210_000n

const journaled = ({ folder }: Scene) =>
  readdirSync(join(folder, 'journal')).flatMap((name) =>
    readFileSync(join(folder, 'journal', name), 'utf8')
      .split('\n')
      .filter(Boolean),
  )

async function ask(it: Scene, times: number, principal = wallet(1)): Promise<void> {
  const answers = await Promise.all(Array.from({ length: times }, () => it.ask(principal)))
  for (const one of answers) {
    assert.equal(one.status, 200)
    await one.text()
  }
}

/** Asks until it is served: who comes in the moment in which nobody knows what is left is told to come again. */
async function served(it: Scene): Promise<void> {
  for (;;) {
    const answer = await it.ask()
    await answer.text()
    if (answer.status === 200) return
    assert.equal(answer.status, 503)
    await sleep(20)
  }
}

/** Ten dollars, less what so many exchanges cost. */
const rest = (times: number) => {
  const units = String(10n ** 11n - cost * BigInt(times)).padStart(12, '0')
  return `${BigInt(units.slice(0, -10))}.${units.slice(-10)}`
}

describe('while the database is away', () => {
  test('one that hangs stops no exchange; afterwards everything is billed once', async () => {
    await using line = await postgresLine()
    await using it = await scene(answer, { through: (url) => line.to(url) })
    await ask(it, 1)
    await until('a first row', async () => (await it.rows()).length === 1)
    line.freeze()
    await ask(it, 200)
    await ask(it, 50, caller())
    assert.equal((await it.rows()).length, 1)
    assert.equal(journaled(it).length, 250)
    line.thaw()
    await until('all rows', async () => (await it.rows()).length === 251)
    assert.equal(await it.balanceOf(1), rest(201))
    await until('an empty journal', () => journaled(it).length === 0)
  })

  test('one that never answers stops no exchange from the start', async () => {
    await using line = await postgresLine()
    line.freeze()
    await using it = await scene(answer, { through: (url) => line.to(url), isDown: true })
    await ask(it, 100, caller())
    assert.equal(journaled(it).length, 100)
    await it.gw.stop()
    line.cut()
    assert.equal(journaled(it).length, 100)
    assert.ok(it.gw.records.some(({ message }) => message.includes('it is billed at the next start')))
  })

  test('a stream is written down before its client hears of its end', async () => {
    await using line = await postgresLine()
    line.freeze()
    const provider = billingProvider()
    await using it = await scene(provider.script, { through: (url) => line.to(url), isDown: true })
    const wish: Wish = { end: 'stream', input: 5, output: 9 }
    const answer = await it.ask(caller(), wishing(model, wish), { path: '/v1/messages' })
    let text = ''
    let linesAtEnd = 0
    for await (const bytes of answer.body!) {
      text += Buffer.from(bytes).toString()
      if (text.includes('message_stop')) linesAtEnd ||= journaled(it).length
    }
    assert.equal(linesAtEnd, 1)
    const { actual_cost: charge, output_tokens: output } = JSON.parse(journaled(it)[0]!) as Record<string, unknown> // a row
    assert.deepEqual([charge, output], ['0.000095', 9])
    await it.gw.stop()
    line.cut()
  })

  test('connections that break in the midst of it cost nothing, and nothing twice', async () => {
    await using line = await postgresLine()
    await using it = await scene(answer, { through: (url) => line.to(url), usage: { batch: 3 } })
    await ask(it, 1)
    let isOver = false
    const breaking = (async () => {
      for (let cuts = 0; cuts < 40 && !isOver; cuts++) {
        await sleep(15)
        line.cut()
      }
    })()
    await Promise.all(Array.from({ length: 300 }, () => served(it)))
    isOver = true
    await breaking
    await until('all rows', async () => (await it.rows()).length === 301)
    assert.equal(await it.balanceOf(1), rest(301))
  })

  test('what waits is owed: nobody spends it twice', async () => {
    await using line = await postgresLine()
    await using it = await scene(
      serving(() => chat(0, 100)),
      { through: (url) => line.to(url) },
    )
    await it.db.query('UPDATE users SET balance = 0.0035 WHERE id = 1')
    const first = await it.ask(wallet(1))
    assert.equal(first.status, 200)
    line.freeze()
    const statuses: number[] = []
    for (let times = 0; times < 6; times++) statuses.push((await it.ask(wallet(1))).status)
    assert.deepEqual(statuses, [200, 200, 403, 403, 403, 403])
    line.thaw()
    await until('the rows', async () => (await it.rows()).length === 3)
    assert.equal(await it.balanceOf(1), '0.0005000000')
  })

  test('rows beyond the queue wait in the journal, and are billed when it is back', async () => {
    await using line = await postgresLine()
    await using it = await scene(answer, { through: (url) => line.to(url), usage: { queue: 5 } })
    await ask(it, 1)
    await until('a first row', async () => (await it.rows()).length === 1)
    await it.db.query('ALTER TABLE usage_billing_dedup RENAME TO hidden')
    line.freeze()
    line.cut()
    await until('an outage that is known', async () => {
      await ask(it, 1)
      return it.gw.sidecar.server.gateway.backing.database?.state === 'down'
    })
    const before = journaled(it).length
    await ask(it, 40)
    assert.equal(journaled(it).length, before + 40)
    await it.db.query('ALTER TABLE hidden RENAME TO usage_billing_dedup')
    line.thaw()
    line.cut()
    await until('all rows', async () => (await it.rows()).length === before + 41)
    assert.equal(await it.balanceOf(1), rest(before + 41))
    await until('an empty journal', () => journaled(it).length === 0)
  })

  test('rows beyond the queue are written before their exchanges end, where there is no journal', async () => {
    await using it = await scene(answer, { usage: { queue: 1, journal: '' } })
    await ask(it, 100)
    await until('all rows', async () => (await it.rows()).length === 100)
    assert.equal(await it.balanceOf(1), rest(100))
  })
})

describe('what a process has left behind', () => {
  test('is billed by the next one: whole lines, once, the last form of a row', async () => {
    await using it = await scene(answer, { isDown: true, usage: { journal: '' } })
    await it.gw.stop()
    const folder = join(it.folder, 'left')
    const [one, two] = [rowFor({ actual_cost: '1' }), rowFor({ actual_cost: '2' })]
    const lines = [one, { ...two, actual_cost: '3' }, two, one].map((row) => JSON.stringify(row)).join('\n')
    const database = it.gw.sidecar.server.gateway.config.settings.database.reveal()
    const options = { plugins: [whoami, { usage: { journal: folder } }, 'openai'], database }
    for (let times = 0; times < 2; times++) {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `${process.pid}-old-${times}.jsonl`), `${lines}\n{"id":"torn","actu`)
      await using _ = await gateway(options)
      await until('no file of the dead', () => !readdirSync(folder).some((name) => name.includes('old')))
    }
    assert.equal((await it.rows()).length, 2)
    assert.equal(await it.balanceOf(1), '7.0000000000')
    assert.deepEqual(readdirSync(folder), [])
  })

  test('stays where another process lives that writes it', async () => {
    await using it = await scene(answer)
    const file = join(it.folder, 'journal', `${process.ppid}-living-0.jsonl`)
    writeFileSync(file, `${JSON.stringify(rowFor({ actual_cost: '1' }))}\n`)
    await it.gw.reload({
      plugins: [whoami, { usage: { journal: join(it.folder, 'journal') } }, 'openai'],
      database: it.gw.sidecar.server.gateway.config.settings.database.reveal(),
    })
    await ask(it, 0)
    assert.equal(journaled(it).length, 1)
  })

  test('a row that the database refuses is told, put to nobody’s account, and holds nobody up', async () => {
    await using it = await scene(answer, { isDown: true, usage: { journal: '' } })
    await it.gw.stop()
    const folder = join(it.folder, 'left')
    mkdirSync(folder)
    const rows = [
      rowFor({ actual_cost: '1' }),
      { ...rowFor({ actual_cost: '2' }), status_code: 10 ** 6 },
      rowFor({ actual_cost: '4' }),
    ]
    writeFileSync(join(folder, `${process.pid}-old-0.jsonl`), rows.map((row) => JSON.stringify(row)).join('\n'))
    const database = it.gw.sidecar.server.gateway.config.settings.database.reveal()
    await using gw = await gateway({ plugins: [whoami, { usage: { journal: folder } }, 'openai'], database })
    await until('the others', async () => (await it.rows()).length === 2)
    assert.equal(await it.balanceOf(1), '5.0000000000')
    await until('a word of it', () => gw.records.some(({ message }) => message.includes('refused by the database')))
  })
})
