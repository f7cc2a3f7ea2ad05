/**
 * Several workers behind one listener, as processes: what they serve together, and what is left of it when they reload, when one of them is
 * killed, and when all shall end. Run with `node test/run.ts test/slow/workers.slow.ts`; about two minutes.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { until } from '../redis.ts'
import { GatewayProcess } from './gateway-process.fixture.ts'
import { load, summary, timedUpstream } from './load.fixture.ts'
import {
  allServe,
  chat,
  counted,
  health,
  isThere,
  servedBy,
  settings,
  untilServed,
  workers,
  type Row,
} from './workers.fixture.ts'

describe('several workers', () => {
  test('share streams and kept connections evenly, and count what all have served', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await timedUpstream('a'))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const under = load([gateway.url], [upstream])
    await sleep(4000)
    const exchanges = await under.stop()
    console.log(summary(exchanges))
    assert.deepEqual(
      exchanges.filter(({ problem }) => problem !== null),
      [],
    )
    // A connection is closed a moment before its exchange is counted.
    await until(async () => (await counted(gateway, 'postern_exchanges_total')) === exchanges.length)
    assert.equal(await counted(gateway, 'postern_exchange_seconds'), exchanges.length)
    assert.equal(await counted(gateway, 'postern_attempts_total'), exchanges.length)
    assert.equal(await counted(gateway, 'postern_exchanges_under_way'), 0)
    await untilServed(gateway, exchanges.length)
    for (const served of servedBy(gateway)) assert.ok(served > 0)
    const told = (await (await fetch(`${gateway.adminUrl}/readyz`)).json()) as { workers: object } // as it tells
    assert.deepEqual(told.workers, { serving: workers, of: workers })
  })

  test('have connections that were opened at the same time in like numbers', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const agents = Array.from({ length: 60 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    stack.defer(() => {
      for (const agent of agents) agent.destroy()
    })
    const once = (agent: Agent) =>
      new Promise<void>((resolve, reject) => {
        const asking = request(`${gateway.url}/v1/models`, { agent }, (answer) => answer.resume().on('end', resolve))
        asking.on('error', reject).end()
      })
    for (let round = 0; round < 3; round++) await Promise.all(agents.map(once))
    await untilServed(gateway, 180)
    for (const served of servedBy(gateway)) assert.ok(served >= 30, `${served} of 180`)
  })

  test('move to another version together, and lose nothing by it', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await timedUpstream('a'))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const under = load([gateway.url], [upstream])
    for (let round = 1; round <= 5; round++) {
      await sleep(500)
      await gateway.reload(settings([upstream], { limits: { url: `${8 + round}KiB` } }))
    }
    await sleep(300)
    const exchanges = await under.stop()
    assert.deepEqual(
      exchanges.filter(({ problem }) => problem !== null),
      [],
    )
    assert.ok(exchanges.length > 100)
    // The watch and the signal may both have seen a version.
    const reloads = await counted(gateway, 'postern_reloads')
    assert.ok(reloads >= 5)
    assert.equal(gateway.lines.filter(({ msg }) => msg === 'the new configuration is running').length, reloads)
    assert.equal(await counted(gateway, 'postern_exchanges_total'), exchanges.length)
  })

  test('refuse another version together: one that is no good, and one that no plugin can be set up for', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'postern-workers-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const { version } = (await health(gateway)).configuration
    const refused = async (text: string, why: RegExp) => {
      const before = await counted(gateway, 'postern_reloads_refused')
      await writeFile(gateway.file, text)
      gateway.signal('SIGHUP')
      await until(async () => (await counted(gateway, 'postern_reloads_refused')) > before)
      const told = await health(gateway)
      assert.equal(told.configuration.version, version)
      assert.match(told.last_problem?.problems[0]?.message ?? '', why)
      assert.equal(told.retiring.length, 0)
      const shown = (await (await fetch(`${gateway.adminUrl}/configuration`)).json()) as { refused: { text: string } } // as it tells
      assert.ok(shown.refused.text)
    }
    const good = await readFile(gateway.file, 'utf8')
    await refused(good.replace('workers: 3', 'wrokers: 3'), /did not know|does not know "wrokers"/)
    const place = join(folder, 'no-folder')
    await writeFile(place, '')
    const unwritable = `  - ops-capture: { file: ${join(place, 'errors.jsonl')} }\n`
    await refused(good.replace('  - console\n', `  - console\n${unwritable}`), /ops-capture cannot be set up/)
    assert.equal((await chat(gateway.url)).status, 200)

    // One that is killed meanwhile is followed by one that runs what the others run.
    const [victim] = await allServe(gateway)
    process.kill(victim!.pid, 'SIGKILL')
    await until(async () => (await health(gateway)).workers[0]?.replaced === 1)
    await allServe(gateway)
    for (let at = 0; at < 2 * workers; at++) assert.equal((await chat(gateway.url)).status, 200)

    // And what was wrong is put right.
    await writeFile(gateway.file, good.replace('workers: 3', 'workers: 3\nlimits: { url: 9KiB }'))
    await until(async () => (await health(gateway)).last_problem === null)
    assert.notEqual((await health(gateway)).configuration.version, version)
  })

  test('of which one is killed: its exchanges are lost and no others, another takes its place, and no count goes down', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await timedUpstream('a'))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const under = load([gateway.url], [upstream])
    under.phase = 'before'
    await sleep(2500)
    const [victim] = await allServe(gateway)
    const before = await counted(gateway, 'postern_exchanges_total')
    under.phase = 'killed'
    process.kill(victim!.pid, 'SIGKILL')
    await until(async () => (await health(gateway)).workers[0]?.replaced === 1)
    assert.ok((await counted(gateway, 'postern_exchanges_total')) >= before)
    const rows = await allServe(gateway)
    assert.notEqual(rows[0]?.pid, victim?.pid)
    assert.equal(rows[0]?.last_end?.signal, 'SIGKILL')
    assert.equal(await counted(gateway, 'postern_worker_ends_total'), 1)
    under.phase = 'after'
    await sleep(2500)
    const exchanges = await under.stop()
    console.log(summary(exchanges))
    const failed = exchanges.filter(({ problem }) => problem !== null)
    // Twelve ask at the same time: what one of three had of that, and those that were just on their way to it.
    assert.ok(failed.length <= 12, JSON.stringify(failed.slice(0, 3)))
    for (const { phase } of failed) assert.notEqual(phase, 'after')
    assert.ok(gateway.lines.some(({ msg, worker }) => worker === 1 && /has ended \(by SIGKILL\)/.test(String(msg))))

    // Nobody asks any more: what was counted before a death is counted after it, to the last one.
    await until(async () => (await counted(gateway, 'postern_exchanges_under_way')) === 0)
    const total = await counted(gateway, 'postern_exchanges_total')
    process.kill((await allServe(gateway))[1]!.pid, 'SIGKILL')
    await until(async () => (await health(gateway)).workers[1]?.replaced === 1)
    assert.equal(await counted(gateway, 'postern_exchanges_total'), total)
    assert.equal(await counted(gateway, 'postern_exchange_seconds'), total)
  })

  test('of which one is told to end: it ends what it has, and another takes its place', async () => {
    await using stack = new AsyncDisposableStack()
    const held: (() => void)[] = []
    const upstream = stack.use(
      await fakeUpstream((asked, response) => {
        if (!asked.body.includes('hold')) return void response.writeHead(200).end('{}')
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
        held.push(() => response.end('data: [DONE]\n\n'))
      }),
    )
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const answers = Array.from({ length: 6 }, async () =>
      (await chat(gateway.url, { model: 'hold', stream: true })).text(),
    )
    await until(async () => (await health(gateway)).exchanges === 6)
    const busy = (await allServe(gateway)).find(({ exchanges }) => exchanges !== null && exchanges > 0)
    process.kill(busy!.pid, 'SIGTERM')
    const place = busy!.worker - 1
    await until(async () => (await health(gateway)).workers[place]?.state === 'stopping')
    for (let at = 0; at < 2 * workers; at++) assert.equal((await chat(gateway.url)).status, 200)
    for (const finish of held) finish()
    for (const text of await Promise.all(answers)) assert.ok(text.endsWith('[DONE]\n\n'))
    await until(async () => (await health(gateway)).workers[place]?.replaced === 1)
    await allServe(gateway)
    // It has said what it had counted.
    await until(async () => (await counted(gateway, 'postern_exchanges_total')) === 6 + 2 * workers)
  })

  test('of which one does nothing any more: it is killed, and another takes its place', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream], { limits: { silence: '2s' } })))
    const before = await allServe(gateway)
    process.kill(before[1]!.pid, 'SIGSTOP')
    // Who was on the way to it goes to another one.
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => chat(gateway.url, undefined, { connection: 'close' })),
    )
    for (const { status } of answers) assert.equal(status, 200)
    await until(async () => (await health(gateway)).workers[1]?.replaced === 1)
    const after = await allServe(gateway)
    assert.deepEqual([after[0]?.pid, after[2]?.pid], [before[0]?.pid, before[2]?.pid])
    assert.ok(gateway.lines.some(({ msg, worker }) => worker === 2 && /has not answered for 2 s/.test(String(msg))))
    for (let at = 0; at < 2 * workers; at++) assert.equal((await chat(gateway.url)).status, 200)
  })

  test('that end again and again end the process, with a reason', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    for (let times = 0; times < 5; times++) {
      let row: Row | undefined
      await until(async () => {
        row = (await health(gateway)).workers[1]
        return row?.state === 'serving' && row.replaced === times
      })
      process.kill(row!.pid, 'SIGKILL')
    }
    assert.equal(await gateway.ended(), 70)
    assert.match(
      String(gateway.lines.findLast(({ level }) => level === 'error')?.msg),
      /worker 2 has ended 5 times in a row/,
    )
  })

  test('end with their supervisor, however it ends', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const rows = await allServe(gateway)
    await gateway.kill()
    await until(() => rows.every(({ pid }) => !isThere(pid)))
  })

  test('drain together: what can end does, the others are told, and a second signal ends all at once', async () => {
    await using stack = new AsyncDisposableStack()
    const held: (() => void)[] = []
    const upstream = stack.use(
      await fakeUpstream((_asked, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
        held.push(() => response.end('data: [DONE]\n\n'))
      }),
    )
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream], { limits: { drain: '2s' } })))
    const ask = async () => (await chat(gateway.url, { model: 'm', stream: true, messages: [] })).text()
    const answers = Array.from({ length: 12 }, () => ask().catch(() => 'cut'))
    await until(() => held.length === 12)
    await until(async () => (await health(gateway)).exchanges === 12)
    const stopping = gateway.stop()
    await until(async () => (await health(gateway)).status === 'draining')
    assert.equal((await fetch(`${gateway.adminUrl}/readyz`)).status, 503)
    await assert.rejects(chat(gateway.url))
    for (const finish of held.slice(0, 6)) finish()
    const seen = (await Promise.all(answers)).map((text) =>
      text.endsWith('[DONE]\n\n') ? 'whole' : /shutting down/.test(text) ? 'told' : text,
    )
    assert.deepEqual(seen.toSorted(), [...Array<string>(6).fill('told'), ...Array<string>(6).fill('whole')])
    const { code, ms } = await stopping
    assert.equal(code, 0, JSON.stringify(gateway.lines.slice(-5)))
    assert.ok(ms < 2000 + 20_000)

    const other = stack.use(await GatewayProcess.begin(settings([upstream], { limits: { drain: '60s' } })))
    const rows = await allServe(other)
    const lost = chat(other.url, { model: 'm', stream: true, messages: [] }).then(
      async (answer) => answer.text().catch(() => 'lost'),
      () => 'lost',
    )
    await until(async () => (await health(other)).exchanges === 1)
    other.signal('SIGTERM')
    await until(async () => (await health(other)).status === 'draining')
    other.signal('SIGTERM')
    assert.equal(await other.ended(), 130)
    assert.equal(await lost, 'lost')
    await until(() => rows.every(({ pid }) => !isThere(pid)))
  })
})
