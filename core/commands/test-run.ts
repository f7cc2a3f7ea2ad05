/** One test of gateway.test.yaml, against a gateway of its own whose upstreams say what a script says. */
import { loadConfig, type Config } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import { jsonOf, type Seen } from './test-compare.ts'
import type { RootLog } from '../observe/log.ts'
import { silentLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'
import { Secret } from '../secret.ts'
import { startSidecar } from '../sidecar.ts'
import { answer } from '../testing/answers.ts'
import { cut, delay, hang, inTurn } from '../testing/scripts.ts'
import { fakeUpstream, type Asked, type FakeUpstream, type Script } from '../testing/upstream.ts'
import type { ScriptedAnswer, TestCase, TestFile } from './test-file.ts'

export interface RunOptions {
  /** gateway.yaml. */
  readonly file: string
  readonly settings: Pick<TestFile, 'env' | 'database'>
  readonly answers: ReadonlyMap<string, readonly ScriptedAnswer[]>
}

/** How long, in ms, a client waits for its answer. */
const patience = 30_000

/** Runs it. Rejects with ConfigError where gateway.yaml cannot be run. */
export async function runTest({ request }: TestCase, { file, settings, answers }: RunOptions): Promise<Seen> {
  const env = { ...settings.env }
  const { config, problems } = await loadConfig(file, { plugins: pluginSource, env })
  if (!config) throw new ConfigError(problems)
  const helpless = settings.database === undefined && config.plugins.find(({ plugin }) => plugin.needsDatabase)
  if (helpless) throw new Error(`${helpless.name} needs a database: name one for tests with database: URL`)
  await using stage = new Stage()
  for (const { name } of config.upstreams) await stage.open(name, answers.get(name) ?? [])
  const strange = [...answers.keys()].find((name) => !stage.places.has(name))
  if (strange !== undefined) throw new Error(`gateway.yaml has no upstream ${JSON.stringify(strange)} that has a key`)
  const { log, errors } = errorsOf(silentLog)
  const adapt = (read: Config) => adapted(read, settings.database, stage.places)
  const sidecar = await startSidecar({ file, plugins: pluginSource, log, env, watch: false, adapt })
  try {
    const body = request.body === undefined ? null : bodyOf(request.body)
    const told = await fetch(sidecar.url + request.path, {
      method: request.method ?? (body === null ? 'GET' : 'POST'),
      headers: { ...(body === null ? {} : { 'content-type': 'application/json' }), ...request.headers },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(patience),
    })
    // A stream that breaks off is an answer too: what came of it counts.
    const text = await textOf(told)
    const headers = Object.fromEntries(told.headers)
    return { status: told.status, headers, text, body: jsonOf(text), asked: stage.asked, errors }
  } finally {
    await sidecar.stop()
  }
}

/** The scripted upstreams of one test, and what they were asked. */
class Stage {
  readonly places = new Map<string, URL>()
  readonly asked: { readonly upstream: string; readonly asked: Asked }[] = []
  readonly #opened: FakeUpstream[] = []

  async open(name: string, said: readonly ScriptedAnswer[]): Promise<void> {
    const [first = ordinary, ...more] = said.map(scriptOf)
    const script = inTurn(first, ...more)
    const upstream = await fakeUpstream((asked, response, request) => {
      this.asked.push({ upstream: name, asked })
      return script(asked, response, request)
    })
    this.#opened.push(upstream)
    this.places.set(name, new URL(upstream.url))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const upstream of this.#opened) await upstream[Symbol.asyncDispose]()
  }
}

const ordinary: Script = answer('Hello')

function scriptOf({ status, headers, text, body, delay: wait, cut: events, hang: hangs }: ScriptedAnswer): Script {
  if (hangs) return hang()
  const said: Script =
    body === undefined && status < 400
      ? answer(text, { headers })
      : (_asked, response) => {
          response.writeHead(status, { 'content-type': 'application/json', ...headers })
          response.end(body === undefined ? errorOf(status) : bodyOf(body))
        }
  const broken = events === undefined ? said : cut(events, said)
  return wait > 0 ? delay(wait, broken) : broken
}

function errorOf(status: number): string {
  return JSON.stringify({ type: 'error', error: { code: status, type: 'error', message: `scripted ${status}` } })
}

function bodyOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** The same configuration, reachable by nobody else and reaching nobody else. */
function adapted(config: Config, database: string | undefined, places: ReadonlyMap<string, URL>): Config {
  return {
    ...config,
    settings: {
      ...config.settings,
      listen: '127.0.0.1:0',
      admin: false,
      store: new Secret('memory'),
      database: new Secret(database ?? 'none'),
    },
    upstreams: config.upstreams.map((upstream) => ({ ...upstream, url: places.get(upstream.name) ?? null })),
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk as Uint8Array, { stream: true }) // fetch's own
  } catch {
    return text // broken off
  }
  return text
}

/** Lines that say why something failed. */
function errorsOf(log: RootLog): { readonly log: RootLog; readonly errors: string[] } {
  const errors: string[] = []
  const error = (_fields: object, message: string) => void errors.push(message)
  const own: RootLog = { ...log, error, child: () => ({ ...log, error }) }
  return { log: own, errors }
}
