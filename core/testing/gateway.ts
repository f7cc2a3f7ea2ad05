/** A real gateway on real sockets for a test: `await using gw = await gateway({ plugins: ['openai'], upstreams: […] })`. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { PluginSource } from '../config/load.ts'
import { writeYaml } from '../config/write.ts'
import type { RootLog } from '../observe/log.ts'
import type { Log, Plugin } from '../plugin.ts'
import { pluginSource } from '../plugins.ts'
import { startSidecar, type Sidecar } from '../sidecar.ts'
import type { Resolve } from '../upstream/lookup.ts'
import type { GatewayOptions, GatewaySurroundings, LogRecord, TestGateway } from './surface.ts'

/** What the house's own tests may say as well. */
export interface HouseOptions extends GatewayOptions {
  /** How often it is said what a gateway that shall end waits for, in ms. */
  tellEvery?: number
  /** How names of upstreams become addresses; by the system where absent. */
  resolve?: Resolve
}

/** The same, for the house's own tests. */
export interface HouseGateway extends TestGateway {
  readonly sidecar: Sidecar
}

/**
 * Starts one, of gateway.yaml as a text or as an object, on ports that the system chooses. At the end of the block it is stopped, and
 * the test fails if a socket, timer or exchange is left. Rejects with ConfigError, which has every problem of the file.
 */
export async function openGateway(
  options: HouseOptions | string,
  around: GatewaySurroundings = {},
): Promise<HouseGateway> {
  const before = openHandles()
  const folder = await mkdtemp(join(tmpdir(), 'postern-test-'))
  const file = join(folder, 'gateway.yaml')
  const inline = new Map((around.plugins ?? []).map((plugin) => [plugin.name, plugin]))
  const write = (next: GatewayOptions | string) =>
    writeFile(file, typeof next === 'string' ? onFreePorts(next) : toYaml(next, inline))
  await write(options)
  const { log, records } = recordingLog()
  const settings: Partial<HouseOptions> = typeof options === 'string' ? {} : options
  const sidecar = await startSidecar({
    file,
    plugins: withInline(inline, around.folder),
    log,
    env: around.env ?? settings.env ?? {},
    watch: around.watch ?? settings.watch ?? false,
    resolve: settings.resolve,
    ...(settings.tellEvery === undefined ? {} : { tellEvery: settings.tellEvery }),
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true })
    throw error
  })
  return {
    url: sidecar.url,
    adminUrl: sidecar.adminUrl ?? '',
    file,
    sidecar,
    records,
    async reload(next) {
      await write(next)
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
  { env: _env, watch: _watch, tellEvery: _tellEvery, resolve: _resolve, ...options }: HouseOptions,
  inline: Map<string, Plugin>,
): string {
  const plugins = options.plugins.map((item) => {
    if (!isPlugin(item)) return item
    inline.set(item.name, item)
    return item.name
  })
  // A test's process is late on its own account, and is not turned away for it.
  const limits = { lag: '10m', ...(options.limits as object | undefined) } // what a test says, checked when it is loaded
  return writeYaml({ listen: '127.0.0.1:0', admin: { listen: '127.0.0.1:0' }, ...options, plugins, limits })
}

/** The text with addresses of the system's choice; every line keeps its number. */
function onFreePorts(text: string): string {
  const listen = 'listen: 127.0.0.1:0'
  const admin = `admin: { ${listen} }`
  const freed = text.replace(/^listen:.*$/m, listen).replace(/^admin:.*$/m, admin)
  const missing = [listen, admin].filter((line) => !freed.split('\n').includes(line))
  return [freed.trimEnd(), ...missing, ''].join('\n')
}

function isPlugin(item: unknown): item is Plugin {
  return typeof item === 'object' && item !== null && 'setup' in item
}

/** The plugins of the house, and those that a test has in its hands. */
export function withInline(inline: ReadonlyMap<string, Plugin>, beside?: string | URL): PluginSource {
  const place = beside instanceof URL ? fileURLToPath(beside) : beside
  return {
    get names() {
      return [...pluginSource.names, ...inline.keys()]
    },
    load: async (name, folder) => inline.get(name) ?? pluginSource.load(name, place ?? folder),
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
    log: {
      ...logOf({}),
      child: logOf,
      record: (level, members, message) => at(level, {})(JSON.parse(`{${members}}`) as object, message),
      setLevel() {},
      setDestination() {},
      isOn: () => true,
      pass() {},
      flush() {},
    },
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
