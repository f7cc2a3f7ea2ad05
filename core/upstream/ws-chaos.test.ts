import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { WebSocket } from 'ws'
import { until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { laneSpec } from './ws-lane-spec.ts'
import type { Lease } from './ws-member.ts'
import { WsPool } from './ws-pool.ts'

const users = 200
const turnsEach = 20
const eventsPerTurn = 5

/** The same random numbers in every run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Answers a turn with its events, each naming the turn; one in twenty is cut off, closed, or closed after its end. */
function scripted(random: () => number): (socket: WebSocket) => void {
  return (socket) =>
    void socket.on('message', (turn: Buffer) => {
      const fault = random()
      const events = fault < 0.02 ? Math.floor(random() * eventsPerTurn) : eventsPerTurn
      for (let at = 1; at <= events; at++) socket.send(`${turn.toString()} ${at}`)
      if (fault < 0.01) socket.terminate()
      else if (fault < 0.02) socket.close(1011)
      else if (fault < 0.05) socket.close(1000)
    })
}

/** One turn: the number of events that came before the end, all of them its own. */
function play(lease: Lease, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let events = 0
    lease.listen({
      onMessage(data) {
        if (data.toString() !== `${name} ${++events}`) reject(new Error(`${name} heard ${data.toString()}`))
        else if (events === eventsPerTurn) resolve(events)
      },
      onClose: () => resolve(events),
    })
    if (!lease.send(name, false) && lease.isOpen) reject(new Error('a short message found the connection full'))
  })
}

describe('many users and an upstream that fails at random', () => {
  test('hear each their own events, in order, and nothing is left over', async () => {
    const random = seeded(7)
    await using upstream = await wsUpstream({
      onSocket: scripted(random),
      onUpgrade: () => (random() < 0.05 ? 'HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n' : undefined),
    })
    const pool = new WsPool({ maxAge: 50, cleanEvery: 10, pingEvery: 10 })
    const lanes = ['a', 'b', 'c'].map((credential) =>
      laneSpec({ upstream: 'o', url: upstream.url, credential, limits: { max: 16, maxIdle: 8, queue: users } }),
    )
    const count = { whole: 0, cut: 0, refused: 0 }
    const use = async (user: number): Promise<void> => {
      const session = { id: `s${user}` }
      for (let turn = 0; turn < turnsEach; turn++) {
        let lease: Lease
        try {
          lease = await pool.acquire(lanes[user % lanes.length]!, { session })
        } catch {
          count.refused++
          continue
        }
        const events = await play(lease, `user ${user} turn ${turn}`)
        if (events < eventsPerTurn) count.cut++
        else count.whole++
        if (user % 50 === 0) lease.pin(session.id)
        if (events === eventsPerTurn && random() < 0.95) lease.return()
        else lease.markBroken()
      }
      pool.endSession(session.id)
    }
    await Promise.all(Array.from({ length: users }, (_, user) => use(user)))
    assert.equal(count.whole + count.cut + count.refused, users * turnsEach)
    assert.ok(count.whole > 0.8 * users * turnsEach, JSON.stringify(count))
    assert.ok(count.cut > 0 && count.refused > 0, JSON.stringify(count))
    const { acquired, reused, leased, waiting } = pool.stats()
    assert.equal(acquired, count.whole + count.cut)
    assert.deepEqual({ leased, waiting }, { leased: 0, waiting: 0 })
    assert.ok(reused > 0.75 * acquired, `${reused} of ${acquired} reused`)
    await pool.close()
    const { created, closed } = pool.stats()
    assert.equal(created, closed)
    await until(() => upstream.open === 0)
  })
})
