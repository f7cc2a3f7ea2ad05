/** What things weigh that are many: streams that wait, sessions, bodies that are held. */
import { execFile, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { climb } from '../../soak/climb.ts'
import { SoakedGateway } from '../../soak/gateway.ts'
import { start } from './processes.ts'
import type { Weighed } from './sessions.ts'
import type { Sheet } from './sheet.ts'

const streams = 10_000
const sessions = 1_000_000
const bodies = { atOnce: 1500, kilobytes: 150 }
/** Addresses that clients have: one has 28 000 ports, fewer where they rest, and a process 20 000 files on many machines. */
const addresses = 4
const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url))

type Row = readonly [what: string, many: number, each: string, all: string]

/** Each with a gateway of its own, idle before. What a part cannot have is a note. */
export async function memory(): Promise<Sheet> {
  const rows: Row[] = []
  const notes: string[] = []
  for (const [name, part] of Object.entries({ streams: idleStreams, sessions: stickySessions, bodies: heldBodies })) {
    try {
      rows.push(...(await part(notes)))
    } catch (error) {
      notes.push(`Left out: ${name} (${error instanceof Error ? error.message : String(error)}).`)
    }
    process.stderr.write(`memory: ${name}\n`)
  }
  return {
    scenario: 'memory',
    title: 'What many things weigh',
    columns: ['', 'at the same time', 'each', 'the process'],
    digits: [0, 0, 0, 0],
    rows,
    notes,
  }
}

/** A stream has two sockets in the gateway, its client's and its upstream's. */
async function idleStreams(notes: string[]): Promise<Row[]> {
  const files = Number(
    /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity,
  )
  const wanted = Math.min(streams, Math.floor((files - 300) / 2))
  if (wanted < streams)
    notes.push(`${wanted} streams, not ${streams}: this machine lets a process open ${files} files.`)
  await using upstream = await start({ words: [process.execPath, beside('streams.ts'), 'upstream', '{port}'] }, 1)
  await using gateway = await SoakedGateway.make()
  await gateway.write({
    limits: { connections: 2 * streams, all_connections: 2 * streams },
    timeouts: { idle: '10m', headers: '10m', first_event: '10m' },
    plugins: ['openai', 'failover'],
    upstreams: [{ name: 'idle', provider: 'openai', url: `http://127.0.0.1:${upstream.port}`, key: 'k' }],
  })
  await gateway.start()
  {
    // What is compiled and allocated once is no weight of a stream's.
    await using _ = await openStreams(gateway.port, 200)
  }
  const before = await gateway.weigh()
  await using opened = await openStreams(gateway.port, wanted)
  await gateway.weigh()
  const after = await gateway.weigh()
  if (opened.count < wanted) notes.push(`${opened.count} streams, not ${wanted}: no more could be opened.`)
  const each = (of: 'rss' | 'heapUsed') => kib((after[of] - before[of]) / opened.count)
  return [
    [
      'Streams that wait for their next event',
      opened.count,
      `${each('rss')} (heap ${each('heapUsed')})`,
      mib(after.rss),
    ],
  ]
}

interface Opened extends AsyncDisposable {
  readonly count: number
}

async function openStreams(port: number, count: number): Promise<Opened> {
  const children: ChildProcess[] = []
  const counts = Array.from({ length: addresses }, async (_, at) => {
    const words = ['client', String(port), String(Math.ceil((count - at) / addresses)), `127.0.0.${at + 2}`]
    const child = fork(beside('streams.ts'), words, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    children.push(child)
    const [said] = (await once(child.stdout!, 'data')) as [Buffer] // its one line
    return Number(said.toString())
  })
  const told = await Promise.all(counts)
  return {
    count: told.reduce((sum, one) => sum + one, 0),
    async [Symbol.asyncDispose]() {
      await Promise.all(
        children.map((child) => {
          const gone = once(child, 'exit')
          child.kill('SIGKILL')
          return gone
        }),
      )
    },
  }
}

async function stickySessions(notes: string[]): Promise<Row[]> {
  const words = ['--expose-gc', '--max-old-space-size=4096', beside('sessions.ts'), String(sessions)]
  const { stdout } = await promisify(execFile)(process.execPath, words)
  const told = JSON.parse(stdout) as Weighed // what sessions.ts prints
  notes.push(
    `Of ${(sessions * 1.5).toLocaleString('en')} sessions that came, ${told.keptAfter.toLocaleString('en')} were kept, at ` +
      `${told.bytesAfter.toFixed(0)} bytes each: the memory store is bounded. Where old keys are written too, a session is two entries.`,
  )
  return [
    [
      'Sticky sessions in the memory store',
      told.sessions,
      `${told.bytes.toFixed(0)} B`,
      mib(told.bytes * told.sessions),
    ],
  ]
}

async function heldBodies(notes: string[]): Promise<Row[]> {
  const { atOnce, kilobytes } = bodies
  const wrong: string[] = []
  const [idle, full] = await climb({ steps: [atOnce], kilobytes, think: 3000 }, wrong)
  if (!idle || !full) throw new Error('nothing was weighed')
  if (wrong.length > 0) notes.push(`${wrong.length} of them ended otherwise: ${wrong[0]}`)
  notes.push(
    `Bodies: ${full.whole} answered whole, ${full.turnedAway} turned away; the idle process had ${mib(idle.peak.rss)}, and ` +
      `${mib(full.after.rss)} (heap ${mib(full.after.heapUsed)}) when all had gone.`,
  )
  const each = kib((full.peak.rss - idle.peak.rss) / atOnce)
  return [
    [
      `Requests of ${kilobytes} KB, held while their upstream thinks`,
      atOnce,
      each,
      `${mib(full.peak.rss)} at the peak`,
    ],
  ]
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`
}
