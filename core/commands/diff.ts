/** `postern diff`: what the file would change, of the running gateway or of an older file. */
import { maskedConfig, type Masked } from '../admin-configuration.ts'
import { loadConfig, type Config } from '../config/load.ts'
import { render } from '../config/problems.ts'
import { pluginSource } from '../plugins.ts'
import { differences, type Difference } from './diff-compare.ts'
import type { Values } from './table.ts'

/** Settings that are read once, when the process starts. */
const atStart = /^(listen|admin|limits\.header)(\.|$)/

/** Resolves with the exit code, as diff(1) has it: 0 nothing, 1 something, 2 it cannot be said. */
export async function diff({
  config: file,
  json,
  admin,
  words: [old],
}: Values & { words: readonly string[] }): Promise<number> {
  try {
    const next = await read(file)
    const running = old === undefined ? await ask(admin ?? addressOf(next), next) : null
    // Through JSON, as the running gateway tells it: what is undefined is not there.
    const was = running ?? plain(maskedConfig(await read(old!)))
    const found = differences(was, plain(maskedConfig(next)))
    const restart = found.filter(({ path }) => atStart.test(path)).map(({ path }) => path)
    const note = 'Secrets are masked on both sides: that one was replaced by another is not seen.'
    if (json) process.stdout.write(`${JSON.stringify({ differences: found, restart, note }, null, 2)}\n`)
    else
      process.stdout.write(
        `${[...(found.length > 0 ? found.map(line) : ['nothing changes']), ...restartNote(restart), note].join('\n')}\n`,
      )
    return found.length > 0 ? 1 : 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return 2
  }
}

async function read(file: string): Promise<Config> {
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!config) throw new Error(problems.map(render).join('\n\n'))
  return config
}

function plain(masked: Masked): Masked {
  return JSON.parse(JSON.stringify(masked)) as Masked // what was given
}

function addressOf({ settings: { admin }, file }: Config): string {
  if (!admin)
    throw new Error(
      `postern: ${file} has no admin listener. Name the running gateway's with --admin URL, or an older file`,
    )
  if (admin.listen.startsWith('unix:'))
    throw new Error('postern: an admin listener on a socket cannot be asked. Name an older file')
  return `http://${admin.listen.replace(/^:/, '127.0.0.1:').replace(/^0\.0\.0\.0:/, '127.0.0.1:')}`
}

/** How long, in ms, the running gateway may take. */
const patience = 5000

async function ask(base: string, { settings: { admin } }: Config): Promise<Masked> {
  const key = process.env['POSTERN_ADMIN_KEY'] ?? (admin ? admin.key?.reveal() : undefined)
  const headers = key === undefined || key === '' ? {} : { authorization: `Bearer ${key}` }
  const url = new URL('/configuration', base)
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(patience) }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
    throw new Error(
      `postern: no gateway answers at ${url.origin}: ${cause}. Name it with --admin URL, or an older file`,
    )
  })
  const told = (await answer.json().catch(() => null)) as { running?: Masked; error?: string } | null // looked at below
  if (!answer.ok || !told?.running)
    throw new Error(`postern: ${url.href} answered ${answer.status}: ${told?.error ?? 'it is no Postern'}`)
  const { settings, upstreams, keys, plugins } = told.running
  return { settings, upstreams, keys, plugins }
}

const signs = { added: '+', removed: '-', changed: '~', moved: '↕' } as const

function line({ kind, path, was, is }: Difference): string {
  if (kind === 'added' || kind === 'removed') return `${signs[kind]} ${path}`
  if (kind === 'moved') return `${signs[kind]} ${path}: place ${String(was)} → ${String(is)}`
  return `${signs[kind]} ${path}: ${JSON.stringify(was)} → ${JSON.stringify(is)}`
}

function restartNote(paths: readonly string[]): string[] {
  return paths.length > 0 ? [`takes effect at the next start: ${paths.join(', ')}`] : []
}
