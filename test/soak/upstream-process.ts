/** The upstream of these programs as its parent sees it. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Served } from './upstream.ts'

const file = fileURLToPath(new URL('upstream.ts', import.meta.url))

export interface UpstreamProcess<Name extends string> extends AsyncDisposable {
  readonly urls: Readonly<Record<Name, string>>
  /** What it has served so far. */
  ledger(): Promise<readonly Served[]>
}

/** Starts one that answers under each of the names. */
export async function startUpstream<Name extends string>(names: readonly Name[]): Promise<UpstreamProcess<Name>> {
  const child = fork(file, names, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const died = once(child, 'exit').then(() => Promise.reject(new Error('the upstream has ended')))
  died.catch(() => {})
  const [ports] = (await Promise.race([once(child, 'message'), died])) as [Record<Name, number>] // its first word
  const urls = Object.fromEntries(names.map((name) => [name, `http://127.0.0.1:${ports[name]}`]))
  return {
    urls: urls as Record<Name, string>, // each of the names
    async ledger() {
      child.send('ledger')
      const [ledger] = (await Promise.race([once(child, 'message'), died])) as [Served[]] // its answer to that
      return ledger
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      child.disconnect()
      await gone
    },
  }
}
