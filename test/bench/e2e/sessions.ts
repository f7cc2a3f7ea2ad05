/** Sticky sessions in the memory store, in a process of its own: prints what they weigh, and whether they are bounded. Needs --expose-gc. */
import { openMemoryStore } from '../../../core/store/memory.ts'
import { keyOf, sessionOf, shortHash } from '../../../plugins/sticky-session/keys.ts'

/** What it prints. */
export interface Weighed {
  readonly sessions: number
  /** Of each, on the heap. */
  readonly bytes: number
  /** How many were kept when half as many again had come. */
  readonly keptAfter: number
  /** Of each of those. */
  readonly bytesAfter: number
}

const sessions = Number(process.argv[2])
const hour = 3_600_000
const store = openMemoryStore({ capacity: sessions })
const before = heap()
await write(0, sessions)
const full = heap()
await write(sessions, sessions / 2)
const told: Weighed = {
  sessions,
  bytes: (full - before) / sessions,
  keptAfter: store.size,
  bytesAfter: (heap() - before) / store.size,
}
process.stdout.write(JSON.stringify(told))
await store.close()

/** As the plugin writes them. */
async function write(from: number, count: number): Promise<void> {
  for (let at = from; at < from + count; at++) {
    const key = keyOf(sessionOf(`key-${at % 1000}`, `openai:${shortHash(`session ${at}`)}`))
    await store.set({ key, value: `upstream-${at % 50}`, ttl: hour })
  }
}

function heap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
