/** From nothing to the first answer, and what an idle process keeps. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cpuOf, residentOf } from './machine.ts'
import { start, type Program } from './processes.ts'
import { postern } from './rivals.ts'
import { stub } from './stub.ts'
import { median } from './turn.ts'

/** Medians: `first` in ms from the start of the program, `cpu` of it, `idle` in MiB a second after it. */
export interface Begun {
  readonly title: string
  readonly first: number
  /** CPU time of the process until then, in ms. */
  readonly cpu: number
  readonly idle: number
}

/** What Node itself takes: answers, and passes nothing on. By `require`: an import of node:http would load Node's fetch too. */
const server = `require('node:http').createServer((_, r) => r.end('{}')).listen({port}, '127.0.0.1')`
const bare: Program = { words: [process.execPath, '-e', server] }

/** The packages of package.json that a gateway without Redis and database works with. Postern loads ajv and ws where they are used. */
const modules = ['ajv/dist/2020.js', 'chokidar', 'http-proxy-3', 'pino', 'ws', 'xxhash-wasm', 'yaml']

/** The same, and they are loaded: what memory is told as a multiple of. */
const withModules: Program = {
  words: [
    process.execPath,
    '-e',
    `const load = require('node:module').createRequire('${fileURLToPath(import.meta.url)}')
    for (const name of ${JSON.stringify(modules)}) load(name)
    ${server}`,
  ],
}

/** How that one is called. */
export const bareWithModules = `the same, with ${modules.length} of Postern's packages loaded`

/** Everybody in turns; what is compiled is kept from the first round on. The bundle takes part where `npm run build` has made one. */
export async function begin(rounds: number): Promise<readonly Begun[]> {
  await using upstream = await start(stub({ isStream: false, fails: false }), 1)
  const upstreams = { url: `http://127.0.0.1:${upstream.port}` }
  const bundle = fileURLToPath(new URL('../../../dist/bin/postern.js', import.meta.url))
  const programs: Record<string, Program> = {
    'Node, a bare http server': bare,
    [bareWithModules]: withModules,
    'Postern from its sources, every plugin of the shipped file': postern(upstreams),
    'Postern from its sources, nothing kept from the start before': {
      ...postern(upstreams),
      env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    },
    'Postern from its sources, its provider alone': postern(upstreams, ['openai']),
    ...(existsSync(bundle)
      ? {
          'Postern, the bundle, every plugin of the shipped file': postern(upstreams, undefined, bundle),
          'Postern, the bundle, its provider alone': postern(upstreams, ['openai'], bundle),
        }
      : {}),
  }
  const seen = Object.keys(programs).map((title) => ({
    title,
    first: [] as number[],
    cpu: [] as number[],
    idle: [] as number[],
  }))
  for (let round = 0; round < rounds; round++) {
    for (const { title, first, cpu, idle } of seen) {
      const { answered, used, resident } = await once(programs[title]!)
      first.push(answered)
      cpu.push(used)
      idle.push(resident)
    }
    process.stderr.write(`start: round ${round + 1} of ${rounds}\n`)
  }
  return seen.map(({ title, first, cpu, idle }) => ({
    title,
    first: median(first),
    cpu: median(cpu),
    idle: median(idle),
  }))
}

async function once(program: Program): Promise<{ answered: number; used: number; resident: number }> {
  await using server = await start(program, 0)
  const from = performance.now()
  const url = `http://127.0.0.1:${server.port}/v1/chat/completions`
  const answer = await fetch(url, { method: 'POST', body: '{"model":"gpt-bench","messages":[]}' })
  await answer.arrayBuffer()
  if (answer.status !== 200) throw new Error(`the first answer was ${answer.status}`)
  const answered = server.opened + performance.now() - from
  const used = cpuOf(server.pid) / 1000
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return { answered, used, resident: residentOf(server.pid) }
}
