/** Servers as processes of their own: started on a port, and ended with the run. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from '../../redis-server.ts'
import { pins } from './machine.ts'

/** A program and its words. `{port}` in the words and in the files is the port to listen on, `{folder}` where the files are. */
export interface Program {
  readonly words: readonly string[]
  readonly files?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

export interface Running {
  readonly pid: number
  readonly port: number
  /** From the start of the program to its first connection, in ms. */
  readonly opened: number
  [Symbol.asyncDispose](): Promise<void>
}

const alive = new Set<ChildProcess>()

/** Whatever ends this process ends the servers too: called once, by a program that is nothing but the run. */
export function endTogether(): void {
  process.on('exit', () => {
    for (const child of alive) child.kill('SIGKILL')
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))
}

/** Starts it on a core and waits until it takes connections. Throws where it ends before, or has not begun after 20 s. */
export async function start(program: Program, core: 0 | 1): Promise<Running> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))
  const filled = (text: string) => text.replaceAll('{port}', String(port)).replaceAll('{folder}', folder)
  for (const [name, text] of Object.entries(program.files ?? {})) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), filled(text))
  }
  const [command = '', ...words] = [...(pins ? ['taskset', '-c', String(core)] : []), ...program.words.map(filled)]
  const from = performance.now()
  // Its errors are the reader's; what it logs is written, as it would be, and kept by nobody.
  const child = spawn(command, words, { env: { ...process.env, ...program.env }, stdio: ['ignore', 'ignore', 'pipe'] })
  alive.add(child)
  child.on('exit', () => alive.delete(child))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)))
  child.on('error', (error) => (said = error.message))
  const running = { pid: child.pid ?? 0, port, opened: 0, [Symbol.asyncDispose]: () => end(child, folder) }
  const late = performance.now() + 20_000
  while (!(await takesConnections(port))) {
    if (isAlive(child) && performance.now() < late) continue
    await running[Symbol.asyncDispose]()
    throw new Error(`${program.words[0]} does not listen: ${said.trim().split('\n').at(-1)}`)
  }
  return { ...running, opened: performance.now() - from }
}

/** Runs a program to its end on the second core; what it printed. */
export async function output(words: readonly string[]): Promise<string> {
  const [command = '', ...rest] = pins ? ['taskset', '-c', '1', ...words] : words
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(child, 'close')
  return text
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  if (isAlive(child)) {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 3000)
    await ended
    clearTimeout(late)
  }
  rmSync(folder, { recursive: true, force: true })
}

function isAlive(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => setTimeout(() => resolve(false), 2))
  })
}
