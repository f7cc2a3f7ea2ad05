/** CPU per WebSocket message, against the least that can pass it on. */
import { fileURLToPath } from 'node:url'
import { cpuOf } from './machine.ts'
import { posternOf } from './postern-of.ts'
import { output, start, type Program, type Running } from './processes.ts'
import type { Sheet } from './sheet.ts'
import { awaitQuiet, median, type Effort } from './turn.ts'
import type { Messages } from './ws-peers.ts'
import { relays } from './ws-relays.ts'

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const sockets = 8

/** What Postern makes of a socket depends on its path. */
export const kinds = {
  websocket: { title: 'Messages of a WebSocket session', path: '/v1/realtime' },
  turns: { title: 'Messages of turns over WebSocket, each turn an exchange of a hundred', path: '/v1/responses' },
} as const

/** Everybody in turns. What the others are compared with is the bare relay of two `ws` sockets. */
export async function websocket(kind: keyof typeof kinds, effort: Effort): Promise<Sheet> {
  const { title, path } = kinds[kind]
  await using stack = new AsyncDisposableStack()
  const upstream = stack.use(await start({ words: [process.execPath, beside('ws-peers.ts'), 'upstream', '{port}'] }, 1))
  const programs: Readonly<Record<string, Program>> = {
    ...Object.fromEntries(Object.keys(relays).map((name) => [name, relay(name, upstream.port)])),
    'Postern, its provider and failover': posternOf({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: `http://127.0.0.1:${upstream.port}`, key: 'k' }],
    }),
  }
  const contenders: Contender[] = []
  for (const [name, program] of Object.entries(programs))
    contenders.push({ name, server: stack.use(await start(program, 0)), cpu: [], perSecond: [], errors: 0 })
  for (const contender of contenders) await once(contender, path, 1)
  const others: number[] = []
  for (let round = 1; round <= effort.rounds; round++) {
    others.push(await awaitQuiet(effort.anyway))
    for (const contender of contenders) {
      const { used, told } = await once(contender, path, effort.seconds)
      contender.cpu.push(used / told.messages)
      contender.perSecond.push(told.messages / told.seconds)
      contender.errors += told.errors
    }
  }
  process.stderr.write(`${kind}: ${effort.rounds} rounds\n`)
  const base = contenders[0]?.cpu ?? []
  // Round by round, so that what the machine did meanwhile is on both sides.
  const times = (cpu: readonly number[]) => median(cpu.map((one, at) => one / base[at]!))
  return {
    scenario: kind,
    title,
    columns: ['', 'CPU, µs/message', '× bare ws relay', 'messages/s'],
    digits: [0, 2, 2, 0],
    rows: contenders.map(({ name, cpu, perSecond, errors }) =>
      errors > 0
        ? [name, `${errors} errors: nothing was measured`, '', '']
        : [name, median(cpu), times(cpu), median(perSecond)],
    ),
    notes: [],
    otherLoad: median(others),
  }
}

interface Contender {
  readonly name: string
  readonly server: Running
  readonly cpu: number[]
  readonly perSecond: number[]
  errors: number
}

function relay(name: string, upstream: number): Program {
  return { words: [process.execPath, beside('ws-relays.ts'), name, '{port}', `ws://127.0.0.1:${upstream}`] }
}

async function once({ server }: Contender, path: string, seconds: number): Promise<{ used: number; told: Messages }> {
  const before = cpuOf(server.pid)
  const words = ['load', String(server.port), path, String(seconds), String(sockets)]
  const told = JSON.parse(await output([process.execPath, beside('ws-peers.ts'), ...words])) as Messages // its line
  return { used: cpuOf(server.pid) - before, told }
}
