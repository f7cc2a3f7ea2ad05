/** A folder for commands to be called in. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A folder with these files, and commands that are called in it. */
export async function place(files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-commands-'))
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  for (const [path, text] of Object.entries(files)) await write(path, text)
  const run = (program: string, words: readonly string[], env: Record<string, string>) =>
    new Promise<Ended>((resolve) => {
      const options = { cwd: folder, env: { PATH: process.env.PATH, ...env } }
      execFile(program, words, options, (error, out, err) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err }),
      )
    })
  return {
    folder,
    write,
    read: (path: string) => readFile(join(folder, path), 'utf8'),
    postern: (words: readonly string[], env: Record<string, string> = {}) =>
      run(process.execPath, [bin, ...words], env),
    run: (program: string, ...words: readonly string[]) => run(program, words, {}),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
