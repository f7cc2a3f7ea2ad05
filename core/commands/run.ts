/** `postern run`: listens until it is told to stop. */
import { setFlagsFromString } from 'node:v8'
import { loadConfig, type Config } from '../config/load.ts'
import { ConfigError, render } from '../config/problems.ts'
import { workersOf } from '../config/workers.ts'
import { dieLoudly } from '../defects.ts'
import { hardDeadline } from '../ending.ts'
import type { Command } from '../main.ts'
import { openLog, type RootLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'
import { startSidecar } from '../sidecar.ts'

/**
 * Young objects are collected by one thread: what an exchange leaves is a megabyte in a hundred, for which V8 wakes helpers that cost
 * more than they take over (ARCHITECTURE.md, "Transport"). Full collections go on beside the exchanges as before.
 */
const collector = '--no-parallel-scavenge'

/** What runs: a sidecar, or the supervisor of several. */
interface Running {
  readonly url: string
  readonly adminUrl: string | null
  readonly config: Config
  /** What its end waits for. */
  readonly waits: { readonly exchanges?: number; readonly workers?: readonly object[] }
  /** How long its end may take beyond the drain, in ms, where that is not what one process may take. */
  readonly hardDeadline?: number
  reload(): Promise<unknown>
  reopenLog(): void
  /** Resolves with the names of what did not end as it should. */
  stop(): Promise<readonly string[]>
  /** Resolves with a reason to end without having been told to. */
  readonly gaveUp?: Promise<string>
}

export const run: Command = async ({ config: file }) => {
  setFlagsFromString(collector)
  // A worker has a supervisor to talk to; the variable alone makes none.
  if (process.env.POSTERN_WORKER !== undefined && process.connected) {
    const { work } = await import('../workers/work.ts')
    work()
    return 0
  }
  const log = openLog({ level: 'info' })
  dieLoudly(log)
  // Until it listens there is nothing to end. Said aloud, because the first process of a container hears no signal without a handler.
  const leave = (signal: NodeJS.Signals) => process.exit(signal === 'SIGINT' ? 130 : 143)
  process.on('SIGINT', leave).on('SIGTERM', leave)
  try {
    const running = await begin(file, log)
    process.off('SIGINT', leave).off('SIGTERM', leave)
    tell(running, log)
    const { failed, code } = await untilStopped(running, log)
    if (failed.length === 0) return code
    // What was left behind may keep the process for ever.
    process.exit(code || 1)
  } catch (error) {
    log.flush()
    process.stderr.write(`${sentence(error)}\n`)
    return 1
  }
}

/** One process loads nothing of what several need. */
async function begin(file: string, log: RootLog): Promise<Running> {
  const first = await loadConfig(file, { plugins: pluginSource })
  if (first.config && workersOf(first.config.settings) > 1) {
    const { supervise } = await import('../workers/supervisor.ts')
    return supervise(first, log)
  }
  return startSidecar({ file, plugins: pluginSource, log, first })
}

/** The exit code where workers end again and again, as where a process ends by a defect of ours. */
const defect = 70

/** Resolves after the first SIGINT or SIGTERM and the stop that follows, with what did not end well; a second one exits at once. */
function untilStopped(running: Running, log: RootLog): Promise<{ failed: readonly string[]; code: number }> {
  return new Promise((resolve, reject) => {
    let stopping = false
    const end = (code: number) => {
      stopping = true
      setTimeout(
        () => {
          log.error({ waits: running.waits }, 'the stop took too long: exiting')
          log.flush()
          process.exit(1)
        },
        running.config.settings.limits.drain + (running.hardDeadline ?? hardDeadline),
      ).unref()
      running.stop().then((failed) => resolve({ failed, code }), reject)
    }
    const stop = (signal: NodeJS.Signals) => {
      if (stopping) process.exit(130)
      log.info({ signal, exchanges: running.waits.exchanges }, 'stopping; a second signal exits at once')
      end(0)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    process.on('SIGHUP', () => void running.reload())
    process.on('SIGUSR2', () => reopen(running, log))
    void running.gaveUp?.then((reason) => {
      if (stopping) return
      log.error({ reason }, `the process ends: ${reason}`)
      process.stderr.write(`postern: ${reason}; the log says why each has ended\n`)
      end(defect)
    })
  })
}

/** After a rotation. Where the file cannot be opened the log goes on in the one that was put aside. */
function reopen(running: Running, log: RootLog): void {
  try {
    running.reopenLog()
    log.info({}, 'the log was opened anew')
  } catch (error) {
    log.error({ err: error }, 'the log could not be opened anew; it goes on where it went')
  }
}

/** To a person: what to try. To a log: where it listens. */
function tell({ url, adminUrl, config }: Running, log: RootLog): void {
  const workers = workersOf(config.settings)
  log.info({ url, admin: adminUrl, version: config.version, ...(workers > 1 ? { workers } : {}) }, 'listening')
  if (!process.stderr.isTTY) return
  const mounted = config.plugins.flatMap(({ providers }) => providers.map(({ name }) => name))
  const tries = examples.filter(({ provider }) => mounted.includes(provider))
  process.stderr.write(
    [
      `Postern listens on ${url}${adminUrl ? `; is it well? ${adminUrl}/healthz` : ''}`,
      ...(adminUrl && config.plugins.some(({ name }) => name === 'console')
        ? [`The console: ${adminUrl}/console`]
        : []),
      ...config.notes,
      ...(tries.length > 0 ? ['Try:'] : []),
      ...tries.map(({ curl }) => `  ${curl(url)}`),
      '',
    ].join('\n'),
  )
}

const json = "-H 'content-type: application/json'"
const examples = [
  {
    provider: 'openai',
    curl: (url: string) =>
      `curl ${url}/v1/chat/completions ${json} -d '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'`,
  },
  {
    provider: 'anthropic',
    curl: (url: string) =>
      `curl -N ${url}/v1/messages ${json} -d '{"model":"demo","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'`,
  },
  {
    provider: 'gemini',
    curl: (url: string) =>
      `curl -N '${url}/v1beta/models/demo:streamGenerateContent?alt=sse' ${json} -d '{"contents":[{"parts":[{"text":"Hello"}]}]}'`,
  },
]

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.map(render).join('\n\n')
  return `postern: ${error instanceof Error ? error.message : String(error)}`
}
