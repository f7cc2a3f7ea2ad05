/** docs/clients.md as data: the rows of its table, and its blocks of code as programs that run. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { blocksOf, type Block } from './docs-blocks.ts'

const root = fileURLToPath(new URL('../', import.meta.url))

export const page = 'docs/clients.md'

export interface Row {
  /** The package, or the program; null in a row about all SDKs. */
  readonly client: string | null
  readonly version: string
  /** The words in backticks of what was run: methods, classes, options. */
  readonly calls: readonly string[]
  /** Counted from the root. */
  readonly test: string
}

/** Rows of its table, in order. */
export function rows(): readonly Row[] {
  const text = readFileSync(join(root, page), 'utf8')
  const lines = text.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| Client |'))
  return lines.map((line) => {
    const [client = '', version = '', what = '', link = ''] = line
      .split('|')
      .map((cell) => cell.trim())
      .slice(1)
    return {
      client: /^`([^`]+)`$/.exec(client)?.[1] ?? null,
      version,
      calls: [...what.matchAll(/`([^`]+)`/g)].map(([, call = '']) => call),
      test: /\]\(\.\.\/([^)]+)\)/.exec(link)?.[1] ?? '',
    }
  })
}

/** Its blocks in a language: `ts`, `js`, `sh`. */
export const blocks = (language: string): readonly Block[] =>
  blocksOf(page).filter((block) => block.language === language)

export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A block's code with the gateway's own host and port in place of the page's. */
export function at(url: string, { text }: Pick<Block, 'text'>): string {
  return text.replaceAll('127.0.0.1:8787', new URL(url).host)
}

/**
 * Runs a program of TypeScript or JavaScript in a process of its own, with nothing of the environment but what is given. `folder` is
 * where its packages are found, those of the repository where absent.
 */
export async function runProgram(
  { language, text }: Pick<Block, 'language' | 'text'>,
  { folder = root, env = {} }: { folder?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const own = join(folder, '.cache', `clients-${process.pid}`)
  mkdirSync(own, { recursive: true })
  try {
    const file = join(own, `program.${language === 'ts' ? 'mts' : 'mjs'}`)
    writeFileSync(file, text)
    return await run(process.execPath, [file], { cwd: own, env: { PATH: process.env.PATH ?? '', ...env } })
  } finally {
    rmSync(own, { recursive: true })
  }
}

/** Why tests that need curl cannot run here; false where they can. */
export const withoutCurl: string | false = spawnSync('curl', ['--version']).error ? 'curl is not on PATH' : false

/** Runs a program to its end, 20 s at most. Rejects where there is no such program. */
export function run(
  program: string,
  words: readonly string[],
  { cwd = root, env = process.env }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(program, words, { cwd, env, timeout: 20_000 }, (error, out, err) => {
      if (error?.code === 'ENOENT') return reject(error)
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err })
    })
  })
}
