/** Runs one shape through a gateway, every API and both kinds of answer at once, and compares what came of each. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { gateway, type LogRecord, type TestGateway } from '../harness.ts'
import { freePort, until } from '../redis-server.ts'
import { operations } from './operations.ts'
import { answer, nameOf, second, wholeAnswer, type Lane, type Outcome, type Shape, type Warning } from './shapes.ts'
import { Progress, send, wireUpstream, type Received, type WireUpstream } from './wire.ts'

/** A lane with upstreams of its own: they serve one model that nobody else asks for. */
interface Track extends Lane {
  readonly name: string
  readonly failing: WireUpstream
  readonly healthy: WireUpstream
  readonly progress: Progress
  readonly urls: readonly [string, string]
}

export async function check(t: TestContext, shape: Shape, who: 'alone' | 'beside'): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const tracks: Track[] = []
  for (const operation of operations)
    for (const isStream of kinds(shape)) tracks.push(await lay(stack, shape, { operation, isStream }))
  await using gw = await gateway({
    plugins: [
      'openai',
      'anthropic',
      'gemini',
      // It rests for longer than any machine needs for the next exchange.
      { failover: { same_upstream_delay: '5ms', budget: { enabled: false }, rests: { overload: '20s' } } },
    ],
    timeouts: { heartbeat: '0s', ...shape.timeouts },
    upstreams: tracks.flatMap(({ name, operation: { provider }, urls }) =>
      urls.slice(0, who === 'alone' ? 1 : 2).map((url, at) => ({
        name: `${name}-${at + 1}`,
        provider,
        url,
        key: `key-${at}`,
        priority: at,
        models: [name],
      })),
    ),
  })
  const came = await Promise.all(tracks.map((track) => walk(gw, shape, track, who)))
  // A client that is cut off may know it before the log does.
  await until(() => came.every(({ received, later }) => isLogged(gw, received) && (!later || isLogged(gw, later.last))))
  for (const [at, track] of tracks.entries())
    await t.test(track.name, () => {
      const { received, asked, askedOther, later } = came[at]!
      const wanted = who === 'alone' ? shape.alone(track) : besideOf(shape, track)
      compare(gw, track, received, wanted)
      if (!shape.isAbsent) assert.equal(asked, wanted.asked, 'so often it is asked')
      assert.equal(askedOther, wanted.body === wholeAnswer(track, second) ? 1 : 0)
      if (later !== null && who === 'beside') rested(gw, shape, track, later)
      if (later !== null && who === 'alone') refused(shape, track, later)
    })
}

/** What came of the exchanges of one track. */
interface Came {
  readonly received: Received
  /** How often the upstream was asked by then, and the one that is well. */
  readonly asked: number
  readonly askedOther: number
  readonly later: Later | null
}

interface Later {
  /** How often it was asked before the last exchange, and by the last. */
  readonly before: number
  readonly byLast: number
  readonly last: Received
  /** Whether the machine took so long that the first result counted for less, and one more was needed. */
  readonly isLate: boolean
}

const exchangesAtMost = 8

/** One exchange; beside an upstream that is well, as many more as it takes until the failing one rests, and another. */
async function walk(gw: TestGateway, shape: Shape, track: Track, who: 'alone' | 'beside'): Promise<Came> {
  const timesAsked = () => (shape.isDialed ? track.failing.dialed : track.failing.asked.length)
  const more = (shape.restsAfter(track) ?? exchangesAtMost) - 1
  const began = performance.now()
  const received = await ask(gw, track)
  const [asked, askedOther] = [timesAsked(), track.healthy.asked.length]
  if (shape.isCostly || (who === 'alone' && !shape.refuses)) return { received, asked, askedOther, later: null }
  // What is slow fails for all at once.
  if (shape.timeouts) await Promise.all(Array.from({ length: more }, () => ask(gw, track)))
  else for (let times = 0; times < more; times++) await ask(gw, track)
  const isLate = !shape.timeouts && performance.now() - began > 900
  if (isLate && shape.restsAfter(track) !== null) await ask(gw, track)
  const before = timesAsked()
  const last = await ask(gw, track)
  return { received, asked, askedOther, later: { before, byLast: timesAsked() - before, last, isLate } }
}

const kinds = ({ only }: Shape) => (only ? [only === 'streams'] : [false, true])

async function lay(stack: AsyncDisposableStack, shape: Shape, lane: Lane): Promise<Track> {
  const progress = new Progress()
  const failing = stack.use(await wireUpstream(shape.act(lane), progress))
  const healthy = stack.use(await wireUpstream(answer(lane, second), progress))
  const port = shape.isAbsent ? await freePort() : failing.port
  const url = shape.url?.(port) ?? `http://127.0.0.1:${port}`
  return { ...lane, name: nameOf(lane), failing, healthy, progress, urls: [url, `http://127.0.0.1:${healthy.port}`] }
}

const ask = (gw: TestGateway, { operation, name, isStream, progress }: Track) =>
  send(gw.url, operation.request(name, isStream), progress)

/** Where another one was asked in time: the answer of that one and nothing else. */
function besideOf(shape: Shape, lane: Lane): Outcome {
  if (shape.beside) return shape.beside(lane)
  return { status: 200, body: wholeAnswer(lane, second), asked: 1, warned: shape.warned?.(lane) ?? [] }
}

function compare(gw: TestGateway, track: Track, received: Received, wanted: Outcome): void {
  const { name } = track
  assert.equal(received.body.toString(), wanted.body)
  assert.ok(received.body.equals(Buffer.from(wanted.body)))
  assert.equal(received.status, wanted.status)
  assert.equal(received.isCut, wanted.isCut ?? false)
  assert.equal(received.headers['retry-after'], wanted.retryAfter)
  // Where nobody listens, the log alone knows how often it was tried.
  const line = exchangeOf(gw, received)
  const isServedByOther = wanted.body === wholeAnswer(track, second)
  assert.equal(line.attempts, wanted.asked + (isServedByOther ? 1 : 0))
  if (wanted.error instanceof RegExp) assert.match(String(line.error), wanted.error)
  else assert.equal(line.error, wanted.error)
  const warned = gw.records.filter(
    ({ level, plugin, exchange }) => level === 'warn' && plugin && exchange === line.exchange,
  )
  assert.equal(warned.length, wanted.warned.length, JSON.stringify(warned))
  for (const [at, wants] of wanted.warned.entries()) sameLine(warned[at]!, { account_id: `${name}-1`, ...wants })
}

const lineOf = (gw: TestGateway, { headers }: Received) =>
  gw.records.find(({ message, exchange }) => message === 'exchange' && exchange === headers['x-postern-exchange'])
const isLogged = (gw: TestGateway, received: Received) => lineOf(gw, received) !== undefined

function exchangeOf(gw: TestGateway, received: Received): LogRecord {
  const line = lineOf(gw, received)
  assert.ok(line, 'the exchange is in the log')
  return line
}

function sameLine(line: LogRecord, wanted: Warning): void {
  for (const [field, value] of Object.entries(wanted)) {
    if (value instanceof RegExp) assert.match(String(line[field]), value, field)
    else assert.equal(line[field], value, `${field} of ${JSON.stringify(line)}`)
  }
}

/** While it rests it is not asked, and whoever is well answers at once. */
function rested(gw: TestGateway, shape: Shape, track: Track, { before, byLast, last, isLate }: Later): void {
  const after = shape.restsAfter(track)
  if (!shape.isAbsent) {
    const until = after ?? exchangesAtMost
    const isAsItShould = before === until || (isLate && before === until + 1)
    assert.ok(isAsItShould, `every exchange asks it until it has to rest: ${before} times, not ${until}`)
    assert.equal(byLast, after === null ? 1 : 0, 'it is asked unless it rests')
  }
  if (after === null) return
  assert.equal(last.body.toString(), wholeAnswer(track, second))
  assert.equal(exchangeOf(gw, last).attempts, 1, 'whoever is well is asked at once')
}

/** Nobody is left to ask: says why, and when to come again, which comes nearer with the time that the test takes. */
function refused({ refuses }: Shape, { name, operation }: Track, { byLast, last }: Later): void {
  assert.ok(refuses)
  assert.equal(byLast, 0, 'it is not asked while it rests')
  const wait = Number(last.headers['retry-after'])
  assert.ok(wait <= refuses.seconds + 1 && wait > refuses.seconds - 5, `Retry-After: ${wait}`)
  assert.equal(last.status, refuses.status)
  const message = `${refuses.message}: ${name}-1 is resting (${wait} s)`
  assert.equal(last.body.toString(), operation.refusal(refuses.status, refuses.code, message))
}
