/** A real gateway on real sockets for a test: `await using gw = await gateway({ plugins: ['openai'], upstreams: […] })`. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import type { Log, Plugin } from 'postern/plugin'
import type { PluginSource } from '../core/config/load.ts'
import type { Problem } from '../core/config/problems.ts'
import type { RootLog } from '../core/observe/log.ts'
import { pluginSource } from '../core/plugins.ts'
import { startSidecar, type Sidecar } from '../core/sidecar.ts'
import type { Resolve } from '../core/upstream/lookup.ts'

/** gateway.yaml as an object; a plugin object in `plugins` joins the list under its own name, without a file. */
export interface GatewayOptions {
  plugins: readonly (string | Plugin | Record<string, unknown>)[]
  upstreams?: readonly Record<string, unknown>[]
  env?: Record<string, string>
  /** Whether the file is watched; tests that do not change it save the watcher. */
  watch?: boolean
  /** How often it is said what a gateway that shall end waits for, in ms. */
  tellEvery?: number
  /** How names of upstreams become addresses; by the system where absent. */
  resolve?: Resolve
  [key: string]: unknown
}

/** A record of the log. */
export interface LogRecord {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

export interface TestGateway extends AsyncDisposable {
  readonly url: string
  readonly adminUrl: string
  readonly file: string
  readonly sidecar: Sidecar
  readonly records: readonly LogRecord[]
  /** Writes another gateway.yaml and reloads it, resolves with its problems. */
  reload(options: GatewayOptions): Promise<readonly Problem[]>
  /** Stops it; called by the end of the test's block as well, which then looks for what was left open. */
  stop(): Promise<void>
}

/** Starts one. At the end of the block it is stopped, and the test fails if a socket, timer or exchange is left. */
export async function gateway(options: GatewayOptions): Promise<TestGateway> {
  const before = openHandles()
  const folder = await mkdtemp(join(tmpdir(), 'postern-test-'))
  const file = join(folder, 'gateway.yaml')
  const inline = new Map<string, Plugin>()
  await writeFile(file, toYaml(options, inline))
  const { log, records } = recordingLog()
  const sidecar = await startSidecar({
    file,
    plugins: withInline(inline),
    log,
    env: options.env ?? {},
    watch: options.watch ?? false,
    ...(options.tellEvery === undefined ? {} : { tellEvery: options.tellEvery }),
    resolve: options.resolve,
  })
  return {
    url: sidecar.url,
    adminUrl: sidecar.adminUrl ?? '',
    file,
    sidecar,
    records,
    async reload(next) {
      await writeFile(file, toYaml(next, inline))
      return sidecar.reload()
    },
    stop: async () => void (await sidecar.stop()),
    async [Symbol.asyncDispose]() {
      await sidecar.stop()
      await rm(folder, { recursive: true })
      assert.equal(sidecar.shared.size, 0, 'something that plugins share was left open')
      await nothingLeft(before)
    },
  }
}

/** gateway.yaml for the options, on ports that the system chooses. */
export function toYaml(
  { env: _env, watch: _watch, tellEvery: _tellEvery, resolve: _resolve, ...options }: GatewayOptions,
  inline: Map<string, Plugin>,
): string {
  const plugins = options.plugins.map((item) => {
    if (!isPlugin(item)) return item
    inline.set(item.name, item)
    return item.name
  })
  return stringify({ listen: '127.0.0.1:0', admin: { listen: '127.0.0.1:0' }, ...options, plugins })
}

function isPlugin(item: unknown): item is Plugin {
  return typeof item === 'object' && item !== null && 'setup' in item
}

function withInline(inline: ReadonlyMap<string, Plugin>): PluginSource {
  return {
    get names() {
      return [...pluginSource.names, ...inline.keys()]
    },
    load: async (name, folder) => inline.get(name) ?? pluginSource.load(name, folder),
  }
}

function recordingLog(): { log: RootLog; records: LogRecord[] } {
  const records: LogRecord[] = []
  const at =
    (level: string, bound: object) =>
    (fields: object, message: string): void =>
      void records.push({ ...bound, ...fields, level, message })
  const logOf = (bound: object): Log => ({
    debug: at('debug', bound),
    info: at('info', bound),
    warn: at('warn', bound),
    error: at('error', bound),
  })
  return {
    records,
    log: { ...logOf({}), child: logOf, setLevel() {}, setDestination() {}, isOn: () => true, flush() {} },
  }
}

/** What keeps the process alive, counted by kind. */
function openHandles(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) {
    // Requests under way to the file system or the resolver end by themselves; the test runner's own pipes stay.
    if (/Socket|Server|Timeout|FSEvent|Process/.test(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

/** Sockets close a moment after they are told to: waits for that, at most two seconds, and then says what is left. */
async function nothingLeft(before: Map<string, number>): Promise<void> {
  let left: string[] = []
  for (let waited = 0; waited < 2000; waited += 20) {
    left = [...openHandles()].filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind)
    if (left.length === 0) return
    await sleep(20)
  }
  assert.fail(`left open at the end of the test: ${left.join(', ')}`)
}
