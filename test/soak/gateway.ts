/** `postern run` as a process that is weighed, killed and started again, at the same addresses and with the same files. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { freePort } from '../redis-server.ts'
import type { Weight } from './inside.ts'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))
const inside = new URL('inside.ts', import.meta.url).href

export type Settings = Readonly<Record<string, unknown>>

export class SoakedGateway implements AsyncDisposable {
  readonly port: number
  readonly adminPort: number
  /** The working directory: gateway.yaml, the log, and whatever plugins write. */
  readonly folder: string
  #child: ChildProcess | null = null

  /** Makes its folder; `start` starts it. */
  static async make(): Promise<SoakedGateway> {
    return new SoakedGateway(await freePort(), await freePort(), await mkdtemp(join(tmpdir(), 'postern-soak-')))
  }

  constructor(port: number, adminPort: number, folder: string) {
    this.port = port
    this.adminPort = adminPort
    this.folder = folder
  }

  /** Of the process that runs. */
  get pid(): number {
    return this.#living().pid! // it was started
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Writes gateway.yaml; a gateway that runs takes it over. */
  async write(settings: Settings): Promise<void> {
    const where = { listen: `127.0.0.1:${this.port}`, admin: { listen: `127.0.0.1:${this.adminPort}` } }
    await writeFile(join(this.folder, 'gateway.yaml'), stringify({ ...where, log: { level: 'warn' }, ...settings }))
  }

  /** Starts the process, and does not wait for it. */
  spawn(): void {
    const log = openSync(join(this.folder, 'log.jsonl'), 'a')
    const options = ['--expose-gc', '--import', inside]
    this.#child = spawn(process.execPath, [...options, bin, 'run', '--config', join(this.folder, 'gateway.yaml')], {
      cwd: this.folder,
      stdio: ['ignore', log, log, 'ipc'],
    })
    closeSync(log)
    // Those who wait for its weight when it is killed.
    this.#child.setMaxListeners(0)
  }

  /** Starts it; resolves when its store and its database are there too. */
  async start(): Promise<void> {
    this.spawn()
    const deadline = performance.now() + 60_000
    while (!(await this.#isReady())) {
      const complaint = () => readFile(join(this.folder, 'log.jsonl'), 'utf8')
      assert.equal(this.#living().exitCode, null, await complaint())
      assert.ok(performance.now() < deadline, `the gateway is not ready: ${await complaint()}`)
      await sleep(20)
    }
  }

  /** `tidy`: after a collection. */
  async weigh(how: 'tidy' | 'as it is' = 'tidy'): Promise<Weight> {
    const child = this.#living()
    const told = once(child, 'message', { signal: AbortSignal.timeout(60_000) })
    child.send(how === 'tidy' ? 'weigh' : 'look')
    const [weight] = (await told) as [Weight] // from inside.ts
    return weight
  }

  /** How many files it has open, sockets included. */
  async files(): Promise<number> {
    return (await readdir(`/proc/${this.#living().pid}/fd`)).length
  }

  /** As /healthz tells it. */
  async health(): Promise<Health> {
    const told = await fetch(`http://127.0.0.1:${this.adminPort}/healthz`, { signal: AbortSignal.timeout(10_000) })
    return (await told.json()) as Health // what the gateway tells
  }

  /** What it has logged, or as much of it as is whole. */
  async log(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const lines = (await readFile(join(this.folder, 'log.jsonl'), 'utf8')).split('\n')
    return lines.flatMap((line) => {
      try {
        return [JSON.parse(line) as Record<string, unknown>] // a record of the log
      } catch {
        return [] // cut by a kill, or the empty end
      }
    })
  }

  /** Resolves with the exit code when the process is gone; null: a signal has ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
    return child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL')
    await rm(this.folder, { recursive: true, force: true })
  }

  #living(): ChildProcess {
    assert.ok(this.#child, 'the gateway was never started')
    return this.#child
  }

  async #isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`)
      const told = (await answer.json()) as Record<string, { state?: string } | null> // as it tells
      const isUp = (name: string) => told[name] === null || told[name] === undefined || told[name].state === 'up'
      return answer.ok && isUp('store') && isUp('database')
    } catch {
      return false
    }
  }
}

export interface Health {
  readonly status: string
  readonly exchanges: number
  readonly retiring: readonly unknown[]
  readonly last_problem: unknown
  readonly configuration: { readonly version: string }
}
