/** Operators' commands as child processes, on a database of their own. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { migratedDatabase } from '../../test/postgres.ts'
import { openDatabase, type Database } from '../database/database.ts'
import { silentLog } from '../observe/log.ts'

const entry = fileURLToPath(new URL('../main.ts', import.meta.url))
export const secret = 'a secret of the tests, long enough to be one'
export interface Told {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A database, a gateway.yaml that names it, and commands that are given that file. */
export interface Operator extends AsyncDisposable {
  readonly url: string
  readonly db: Database
  readonly folder: string
  run(words: readonly string[], more?: { input?: string; env?: Record<string, string> }): Promise<Told>
  /** As `run`, with --json: what was printed. Fails where the command does. */
  json(...words: string[]): Promise<Record<string, unknown>>
}

export async function operator(): Promise<Operator> {
  const fresh = await migratedDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'postern-admin-'))
  const file = join(folder, 'gateway.yaml')
  await writeFile(
    file,
    `database: "${fresh.url}"\nplugins:\n  - openai\n  - accounts: { secrets: ["\${ACCOUNTS_SECRET}"] }\n`,
  )
  const db = openDatabase(fresh.url, silentLog)
  await db.ready()
  const run: Operator['run'] = (words, { input = '', env = {} } = {}) =>
    postern([...words, '--config', file], { input, env: { ACCOUNTS_SECRET: secret, ...env } })
  return {
    url: fresh.url,
    db,
    folder,
    run,
    async json(...words) {
      const { code, out, err } = await run([...words, '--json'])
      assert.equal(code, 0, out + err)
      return JSON.parse(out) as Record<string, unknown>
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      await fresh[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** Runs a command to its end. */
export async function postern(
  words: readonly string[],
  more: { input?: string; env?: Record<string, string> } = {},
): Promise<Told> {
  const child = spawn(process.execPath, [entry, ...words], {
    env: { PATH: process.env.PATH ?? '', ...more.env },
  })
  const told = { code: null as number | null, out: '', err: '' }
  child.stdout.on('data', (text) => (told.out += String(text)))
  child.stderr.on('data', (text) => (told.err += String(text)))
  child.stdin.end(more.input ?? '')
  const [code] = await once(child, 'close')
  told.code = code as number | null // as 'close' tells it
  return told
}
