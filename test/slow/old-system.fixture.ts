/** The system before this one, beside a gateway: a process of its own, and what it leaves in Redis. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { until, type RedisServer } from '../redis.ts'

const script = fileURLToPath(new URL('old-writer.fixture.ts', import.meta.url))

/** Asked a line at a time, one after the other. */
export class OldSystem implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #answers: AsyncIterator<string, undefined>

  constructor(redis: RedisServer, upstreams: readonly string[]) {
    this.#child = spawn(process.execPath, [script, redis.url, ...upstreams], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** The upstream on which it has the session. */
  async turn(session: string): Promise<string> {
    this.#child.stdin.write(`${session}\n`)
    const { value = '' } = await this.#answers.next()
    assert.ok(value.startsWith(`${session} `), value)
    return value.slice(session.length + 1)
  }

  async end(): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null) return
    const ended = once(child, 'close')
    child.stdin.end()
    await ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }
}

/** A day that went by so many days ago, as the counters tell it. */
export async function quietDay(redis: RedisServer, back: number, dualWrites: number): Promise<void> {
  const day = new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10)
  const counts = { sticky_reads: 1000, fallback_total: 500, dual_writes: dualWrites }
  await redis.askMany(Object.entries(counts).map(([name, count]) => ['SET', `gate:{${day}}:${name}`, count, 'EX', 600]))
}

/** What an answer leads to is written behind its back: waits until so many sessions have their old key. */
export async function oldKeysAre(redis: RedisServer, count: number): Promise<void> {
  await until(async () => {
    const keys = (await redis.ask('KEYS', 'sticky_session:0:openai:*')) as string[] // what KEYS answers
    return keys.length === count
  })
}
