/** One Redis server process of a test, which can be stopped, started again and frozen. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { redisProgram } from './redis-program.ts'

export interface RedisServerOptions {
  readonly password?: string
  /** More of redis.conf, as on the command line. */
  readonly arguments?: readonly string[]
}

/** Servers that a test which failed hard has left behind end with the process. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class RedisServer implements AsyncDisposable {
  readonly port: number
  readonly #folder: string
  readonly #options: RedisServerOptions
  #child: ChildProcess | null = null

  /** Starts one on a free port of loopback, in memory only. */
  static async begin(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await mkdtemp(join(tmpdir(), 'postern-redis-')), options)
    await server.start()
    return server
  }

  constructor(port: number, folder: string, options: RedisServerOptions) {
    this.port = port
    this.#folder = folder
    this.#options = options
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it again, on the same port, empty. Resolves when it answers. */
  async start(): Promise<void> {
    const { path, env } = await redisProgram()
    const { password, arguments: more = [] } = this.#options
    const where = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder]
    const how = ['--save', '', '--appendonly', 'no', ...(password === undefined ? [] : ['--requirepass', password])]
    const child = spawn(path, [...where, ...how, ...more], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    running.add(child)
    let said = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text))
    await until(() => {
      assert.equal(child.exitCode ?? child.signalCode, null, `the Redis server ended at once:\n${said}`)
      return said.includes('eady to accept connections')
    })
  }

  /** Ends it, without a word to its clients and frozen or not where nothing else is said; what it held is gone. */
  async stop(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#child = null
    const ended = once(child, 'close')
    child.kill(signal)
    await ended
    running.delete(child)
  }

  /** Half-open: connections stay, new ones are even accepted, and nothing is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async flush(): Promise<void> {
    await this.ask('FLUSHALL')
  }

  /** Asks it on a connection of the test's own, which is gone when this resolves. */
  ask(name: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#connected((redis) => redis.call(name, ...args))
  }

  /** Asks all of it at once. */
  askMany(commands: readonly (readonly [name: string, ...args: (string | number)[]])[]): Promise<unknown[]> {
    return this.#connected((redis) => Promise.all(commands.map(([name, ...args]) => redis.call(name, ...args))))
  }

  /** The commands that other clients send while `act` runs, in lower case, without those that begin a connection. */
  commandsOf(act: () => Promise<unknown>): Promise<string[]> {
    return this.#connected(async (redis) => {
      const monitor = await redis.monitor()
      const seen: string[] = []
      monitor.on('monitor', (_time: string, args: string[], source: string) => {
        // What a script calls is of source "lua": it costs no round trip.
        if (source !== 'lua') seen.push((args[0] ?? '').toLowerCase())
      })
      try {
        await act()
        // A monitor tells in order: when it tells of this, it has told of everything before.
        await redis.echo('the end')
        await until(() => seen.includes('echo'))
      } finally {
        await disconnect(monitor)
      }
      return seen.slice(0, seen.indexOf('echo')).filter((name) => !beginnings.has(name))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #connected<T>(act: (redis: Redis) => Promise<T>): Promise<T> {
    const { password } = this.#options
    const redis = new Redis({ port: this.port, host: '127.0.0.1', password, retryStrategy: null })
    redis.on('error', () => {})
    try {
      return await act(redis)
    } finally {
      await disconnect(redis)
    }
  }
}

async function disconnect(redis: Redis): Promise<void> {
  if (redis.status === 'end') return
  const ended = once(redis, 'end')
  redis.disconnect()
  await ended
}

const beginnings = new Set(['hello', 'auth', 'select', 'client', 'info'])

/** Waits until it is so; fails after ten seconds. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `not so after ten seconds: ${String(isSo)}`)
    await sleep(5)
  }
}

/**
 * A port of loopback that was free a moment ago, and that nobody is given who asks for any: it is below those that Linux gives out
 * (from 32768).
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_768)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    server.close()
    if (!isFree) continue
    await once(server, 'close')
    return port
  }
}
