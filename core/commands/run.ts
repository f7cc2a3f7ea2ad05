/** `postern run`: listens until it is told to stop. */
import { setFlagsFromString } from 'node:v8'
import { ConfigError, render } from '../config/problems.ts'
import type { Command } from '../main.ts'
import { openLog, type RootLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'
import { startSidecar, type Sidecar } from '../sidecar.ts'

/**
 * How long, in ms, a stop may take beyond the drain before the process exits all the same: 2 s for those that do not leave, and what
 * the parts may take to end, one after the other.
 */
export const hardDeadline = 20_000

/**
 * Young objects are collected by one thread: what an exchange leaves is a megabyte in a hundred, for which V8 wakes helpers that cost
 * more than they take over (ARCHITECTURE.md, "Transport"). Full collections go on beside the exchanges as before.
 */
const collector = '--no-parallel-scavenge'

export const run: Command = async ({ config }) => {
  setFlagsFromString(collector)
  const log = openLog({ level: 'info' })
  dieLoudly(log)
  // Until it listens there is nothing to end. Said aloud, because the first process of a container hears no signal without a handler.
  const leave = (signal: NodeJS.Signals) => process.exit(signal === 'SIGINT' ? 130 : 143)
  process.on('SIGINT', leave).on('SIGTERM', leave)
  try {
    const sidecar = await startSidecar({ file: config, plugins: pluginSource, log })
    process.off('SIGINT', leave).off('SIGTERM', leave)
    tell(sidecar, log)
    const failed = await untilStopped(sidecar, log)
    if (failed.length === 0) return 0
    // What was left behind may keep the process for ever.
    process.exit(1)
  } catch (error) {
    log.flush()
    process.stderr.write(`${sentence(error)}\n`)
    return 1
  }
}

/** Resolves after the first SIGINT or SIGTERM and the stop that follows, with what did not end well; a second one exits at once. */
function untilStopped(sidecar: Sidecar, log: RootLog): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    let stopping = false
    const stop = (signal: NodeJS.Signals) => {
      if (stopping) process.exit(130)
      stopping = true
      const { gateway } = sidecar.server
      log.info({ signal, exchanges: gateway.exchanges.length }, 'stopping; a second signal exits at once')
      setTimeout(() => {
        log.error({ waits: gateway.waits }, 'the stop took too long: exiting')
        log.flush()
        process.exit(1)
      }, gateway.config.settings.limits.drain + hardDeadline).unref()
      sidecar.stop().then(resolve, reject)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    process.on('SIGHUP', () => void sidecar.reload())
    process.on('SIGUSR2', () => reopen(sidecar, log))
  })
}

/** After a rotation. Where the file cannot be opened the log goes on in the one that was put aside. */
function reopen(sidecar: Sidecar, log: RootLog): void {
  try {
    sidecar.reopenLog()
    log.info({}, 'the log was opened anew')
  } catch (error) {
    log.error({ err: error }, 'the log could not be opened anew; it goes on where it went')
  }
}

/** To a person: what to try. To a log: where it listens. */
function tell({ url, adminUrl, server }: Sidecar, log: RootLog): void {
  const { config } = server.gateway
  log.info({ url, admin: adminUrl, version: config.version }, 'listening')
  if (!process.stderr.isTTY) return
  const tries = examples.filter(({ provider }) =>
    server.gateway.routes.some((route) => route.provider?.name === provider),
  )
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

/** A defect of ours must not go unseen, and a process in an unknown state must not go on: its supervisor starts it anew. */
function dieLoudly(log: RootLog): void {
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'a defect: the process ends')
    log.flush()
    process.stderr.write(`${error.stack ?? error.message}\n`)
    process.exit(70)
  })
  // A promise that a plugin did not wait for has broken nothing but itself.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise failed that nobody waited for'))
}

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.map(render).join('\n\n')
  return `postern: ${error instanceof Error ? error.message : String(error)}`
}
