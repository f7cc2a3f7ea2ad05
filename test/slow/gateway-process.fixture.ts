/** `postern run` as a process of its own: what an operator starts, with its own gateway.yaml. */
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { until } from '../redis.ts'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))
const root = fileURLToPath(new URL('../../', import.meta.url))
const env = { PATH: process.env.PATH }

/** Processes that a test which failed hard has left behind end with this one. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export type Settings = Readonly<Record<string, unknown>>

export class GatewayProcess implements AsyncDisposable {
  readonly file: string
  readonly #folder: string
  readonly #child: ChildProcess
  readonly #lines: readonly Readonly<Record<string, unknown>>[]
  readonly url: string
  readonly adminUrl: string

  /** Starts one; resolves when it listens. */
  static async begin(settings: Settings): Promise<GatewayProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'postern-process-'))
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, text(settings))
    const child = spawn(process.execPath, [bin, 'run', '--config', file], {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let complaints = ''
    child.stderr?.on('data', (words) => (complaints += String(words)))
    const lines: Record<string, unknown>[] = []
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) =>
        lines.push(JSON.parse(line) as object as Record<string, unknown>),
      ) // a record of the log
    const start = () => lines.find(({ msg }) => msg === 'listening')
    await until(() => {
      assert.equal(child.exitCode, null, complaints)
      return start() !== undefined
    })
    return new GatewayProcess(file, folder, child, lines, String(start()?.url), String(start()?.admin))
  }

  constructor(
    file: string,
    folder: string,
    child: ChildProcess,
    lines: readonly Readonly<Record<string, unknown>>[],
    url: string,
    adminUrl: string,
  ) {
    this.file = file
    this.#folder = folder
    this.#child = child
    this.#lines = lines
    this.url = url
    this.adminUrl = adminUrl
  }

  /** What it has written to its log so far. */
  get lines(): readonly Readonly<Record<string, unknown>>[] {
    return this.#lines
  }

  /** Another gateway.yaml; resolves when the gateway before it has retired, and has told the store what it has counted. */
  async reload(settings: Settings): Promise<void> {
    const before = (await this.#health()).configuration.version
    await writeFile(this.file, text(settings))
    this.#child.kill('SIGHUP')
    await until(async () => {
      const { configuration, retiring, last_problem: problem } = await this.#health()
      assert.equal(problem, null)
      return configuration.version !== before && retiring.length === 0
    })
  }

  /** Sends it a signal, and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves when it has ended, with its exit code; null where a signal has ended it. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close')
    return this.#child.exitCode
  }

  /** kill -9: it says nothing to anybody. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM; resolves when it has ended, with its exit code (null where a signal has ended it) and how long that took, in ms. */
  async stop(): Promise<{ readonly code: number | null; readonly ms: number }> {
    const since = performance.now()
    await this.#end('SIGTERM')
    return { code: this.#child.exitCode, ms: performance.now() - since }
  }

  /** What `postern gates --json` prints for its gateway.yaml, in a process of its own. */
  async gates(): Promise<readonly GateTold[]> {
    const { stdout } = await promisify(execFile)(process.execPath, [bin, 'gates', '--json', '--config', this.file], {
      cwd: root,
      env,
    })
    return (JSON.parse(stdout) as { gates: GateTold[] }).gates // what the command prints
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGTERM')
    await rm(this.#folder, { recursive: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'close')
    child.kill(signal)
    await ended
    running.delete(child)
  }

  async #health(): Promise<Health> {
    return (await (await fetch(`${this.adminUrl}/healthz`)).json()) as Health // what the gateway tells
  }
}

/** As much of a gate as the tests look at. */
export interface GateTold {
  readonly switch: string
  readonly verdict: 'pass' | 'hold'
  readonly reason: string
  readonly history: readonly Readonly<Record<string, number | string>>[]
}

interface Health {
  readonly configuration: { readonly version: string }
  readonly retiring: readonly unknown[]
  readonly last_problem: unknown
}

function text(settings: Settings): string {
  return stringify({ listen: '127.0.0.1:0', admin: { listen: '127.0.0.1:0' }, log: { level: 'info' }, ...settings })
}
