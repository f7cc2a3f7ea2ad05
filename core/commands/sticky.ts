/** `postern sticky flush`: lets sessions go, so that their next turn may be answered anywhere. */
import { loadConfig } from '../config/load.ts'
import { render } from '../config/problems.ts'
import { silentLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'
import { openStore } from '../store/open.ts'

export interface StickyOptions {
  readonly config: string
  readonly json: boolean
  /** What stands behind `sticky`: `flush`. */
  readonly words: readonly string[]
  /** The id of a principal, or what stands before the first colon of the session in a log line. */
  readonly tenant?: string
  /** What stands behind that colon, such as `openai:0123456789abcdef`; the whole, where no tenant is named. */
  readonly session?: string
}

/** Resolves with the exit code: 0 if they are gone, 1 if the store could not be asked, 2 if it was called wrongly. */
export async function sticky({ config: file, json, words, tenant, session }: StickyOptions): Promise<number> {
  if (words.join(' ') !== 'flush') {
    process.stderr.write('postern: sticky takes one word, flush, and --tenant, --session\n')
    return 2
  }
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!config) return say(json, { problems }, problems.map(render).join('\n\n'), 1)
  const setting = config.settings.store.reveal()
  if (setting === 'memory') {
    const error = 'with store: memory the sessions live in the running process; a restart lets them go'
    return say(json, { error }, error, 1)
  }
  const store = await openStore(setting, silentLog)
  try {
    const prefix = flushPrefix({ tenant, session })
    const flushed = await store.deletePrefix(prefix)
    const isWhole = prefix === everything
    const rest = isWhole
      ? ''
      : '; old keys, which name no tenant, end by themselves: until then a session may be found under its own'
    return say(json, { prefix, flushed }, `${flushed} ${flushed === 1 ? 'key' : 'keys'} let go${rest}`, 0)
  } catch (error) {
    const message = `the store does not answer: ${error instanceof Error ? error.message : String(error)}`
    return say(json, { error: message }, message, 1)
  } finally {
    await store.close()
  }
}

const everything = 'sticky_session:'

/** What the keys begin with that have to go. Without a tenant and a session it is every session, old keys included. */
export function flushPrefix({ tenant, session }: Pick<StickyOptions, 'tenant' | 'session'>): string {
  if (tenant === undefined && session === undefined) return everything
  // The kinds that are no principal's id have an @, which is escaped in one.
  const owner = tenant === undefined || /^(key|address)@/.test(tenant) ? tenant : encodeURIComponent(tenant)
  if (session === undefined) return `${everything}{${owner}:`
  return owner === undefined ? `${everything}{${session}}` : `${everything}{${owner}:${session}}`
}

function say(json: boolean, value: object, text: string, code: number): number {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`)
  return code
}
