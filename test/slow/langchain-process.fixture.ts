/** LangChain, installed beside the packages of the repository and not among them, and a process that asks by it. */
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The versions that are tried; docs/clients.md names the same. */
export const versions = {
  '@langchain/core': '1.4.0',
  '@langchain/openai': '1.6.0',
  '@langchain/anthropic': '1.5.11',
  '@langchain/google-genai': '2.3.2',
  '@langchain/google': '0.2.6',
}

export const clientNames = [
  'ChatOpenAI',
  'ChatOpenAI, Responses',
  'ChatAnthropic',
  'ChatGoogleGenerativeAI',
  'ChatGoogle',
] as const
export type ClientName = (typeof clientNames)[number]

export interface Task {
  readonly client: ClientName
  readonly url: string
  readonly how: 'invoke' | 'stream' | 'tools' | 'streamed tools' | 'abort'
  readonly apiKey: string
  readonly maxRetries: number
}

export type Outcome = Answered | Failed

export interface Answered {
  readonly ok: true
  readonly text: string
  /** Messages that had text: one, or those of a stream. */
  readonly pieces: number
  readonly calls: readonly { readonly name: string; readonly args: object }[]
  readonly usage: { readonly input_tokens: number; readonly output_tokens: number } | null
  /** Why it ended, in the words of the API; null where nobody has said so. */
  readonly finish: string | null
}

export interface Failed {
  readonly ok: false
  readonly name: string
  readonly message: string
  readonly status: number | null
  /** LangChain's own word for what it is. */
  readonly code: string | null
  readonly retryAfterMs: number | null
}

export interface LangChain extends AsyncDisposable {
  /** Where its packages are found. */
  readonly folder: string
  ask(task: Pick<Task, 'client' | 'url'> & Partial<Task>): Promise<Outcome>
}

/** Starts a process that has LangChain. Nothing of the environment leads it elsewhere. Rejects where it cannot be installed. */
export async function langChain(): Promise<LangChain> {
  const folder = await install()
  const child = fork(new URL('./langchain.fixture.ts', import.meta.url), [pathToFileURL(join(folder, 'app.js')).href], {
    execArgv: ['--experimental-import-meta-resolve', '--disable-warning=ExperimentalWarning'],
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const gone = once(child, 'exit')
  return {
    folder,
    async ask(task) {
      const told = once(child, 'message')
      child.send({ how: 'invoke', apiKey: 'client-key', maxRetries: 0, ...task } satisfies Task)
      const ended = gone.then(() => Promise.reject(new Error('the process with LangChain has ended')))
      const [outcome] = await Promise.race([told, ended])
      return outcome as Outcome // what langchain.fixture.ts sends
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await gone
    },
  }
}

const cache = fileURLToPath(new URL('../../node_modules/.cache/postern-clients/', import.meta.url))

/** Once for each set of versions; the lockfile of the repository knows nothing of it. No package's scripts are run. */
async function install(): Promise<string> {
  const packages = Object.entries(versions).map(([name, version]) => `${name}@${version}`)
  const folder = join(cache, packages.join('+').replaceAll(/[@/]+/g, '-').replace(/^-/, ''))
  const whole = join(folder, 'installed')
  if (existsSync(whole)) return folder
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  const words = ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--save-exact']
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  await new Promise<void>((resolve, reject) => {
    execFile('npm', [...words, ...packages], { env, timeout: 300_000 }, (error, out, err) => {
      if (!error) return resolve()
      const why = 'LangChain could not be installed, so that nothing was tried. These tests need the registry of npm.'
      reject(new Error(`${why}\nnpm ${words.join(' ')} ${packages.join(' ')}\n${out}${err}`))
    })
  })
  writeFileSync(whole, '')
  return folder
}
