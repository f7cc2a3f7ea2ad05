/** What may hold a secret once a gateway has run: what commands say, rows, pages. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import type { Sidecar } from '../../core/sidecar.ts'
import { shapes, type Sink } from './canary.fixture.ts'

const root = new URL('../../', import.meta.url)

/** Where a refused configuration is told: on the standard error of a command. */
export async function command(file: string, word: string): Promise<string> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('bin/postern.js', root)), word, '--config', file], {
    cwd: fileURLToPath(root),
    env: { PATH: process.env.PATH },
  })
  let told = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (told += String(text)))
  const [code] = await once(child, 'close')
  assert.notEqual(code, 0, told)
  return told
}

/** Every table with its rows, as text; captured errors hold the bodies of requests, and so what people wrote. */
export async function tablesOf(url: string): Promise<Sink[]> {
  const database = openDatabase(url, silentLog)
  try {
    await database.ready()
    const { rows: tables } = await database.query<{ name: string }>(
      `SELECT quote_ident(table_name) AS name FROM information_schema.tables
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    )
    const parts = await Promise.all(
      tables.map(({ name }) => database.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`)),
    )
    return parts.map(({ rows }, at) => {
      const { name } = tables[at]!
      const text = rows.map(({ row }) => row).join('\n')
      return { name: `the table ${name}`, text, keepsPrompts: name === 'ops_error_logs' }
    })
  } finally {
    await database.close()
  }
}

/** Everything that the admin listener tells somebody who has its key. */
export async function pagesOf({ adminUrl }: Sidecar, key: string, exchanges: readonly string[]): Promise<Sink[]> {
  const headers = { authorization: `Bearer ${key}` }
  const paths = [
    '/healthz',
    '/readyz',
    '/metrics',
    '/gates',
    '/configuration',
    '/console',
    '/nothing',
    ...['upstreams', 'sessions', 'usage', 'errors'].map((name) => `/console/data/${name}`),
    ...exchanges.map((id) => `/explain/${encodeURIComponent(id)}`),
  ]
  const pages = await Promise.all(
    paths.map(async (path) => {
      const answer = await fetch(adminUrl + path, { headers })
      return { name: `page ${path}`, text: `${JSON.stringify([...answer.headers])} ${await answer.text()}` }
    }),
  )
  const events = await fetch(`${adminUrl}/console/data/events`, { headers })
  const reader = events.body!.getReader()
  const first = Buffer.from((await reader.read()).value ?? new Uint8Array()).toString()
  await reader.cancel()
  return [...pages, { name: 'page events', text: first }]
}

/** Files that are refused: broken in as many ways as there are to show a piece of what stands in them. */
export function brokenFiles(plant: (place: string, shape?: (core: string) => string) => string): readonly string[] {
  return [
    `# ${plant('a comment', shapes.openai)}\nupstreams:\n  - { name: a, provider: openai, key: ${plant('a refused key')}, wrong: ${plant('an unknown option')} }\nplugins: [openai]\n`,
    `upstreams:\n  - { name: a, provider: openai, key: "${plant('an unclosed text')}\nplugins: [openai]\n`,
    `upstreams:\n  - { name: a, provider: openai, kye: ${plant('a misspelt option')} }\nplugins: [openai]\n`,
    `store: redis://:${plant('a wrong store')}@ h\nplugins: [openai]\n`,
    `database: postgres:/u:${plant('a wrong database')}@h/d\nplugins: [openai]\n`,
    `plugins:\n  - openai\n  - otel: { endpoint: "http://u:${plant('a wrong endpoint')}@h", headers: { a: "${plant('a header of a refused file')}", b: [${plant('a header of the wrong kind')}] } }\n`,
    `upstreams:\n  - { name: a, provider: openai, url: "https://u:${plant('an address with a password')}@h/?key=${plant('an address with a key')}" }\nplugins: [openai]\n`,
    `admin: { listen: 127.0.0.1:0, key: [${plant('an admin key of the wrong kind')}] }\nkeys: [{ name: x, key: { a: ${plant('a key of the wrong kind')} } }]\nplugins: [openai]\n`,
  ]
}
