/** The last lines of the file in which ops-capture keeps what has failed. */
import { open } from 'node:fs/promises'
import { redactText, redactUrl } from 'postern/plugin'

/** What is read of the file's end, in bytes. */
const tail = 512 * 1024

/** What the page is told: the newest first. `file` is null where none is configured, and `found` false where it is not there. */
export async function errorsTold(path: string | null, most: number): Promise<object> {
  if (path === null) return { file: null, found: false, errors: [] }
  const text = await readTail(path)
  if (text === null) return { file: path, found: false, errors: [] }
  const errors = text
    .split('\n')
    .reverse()
    .flatMap((line) => recordOf(line) ?? [])
    .slice(0, most)
  return { file: path, found: true, errors }
}

/** The whole lines at the file's end; null where it is not there. Rejects where it cannot be read. */
async function readTail(path: string): Promise<string | null> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (!file) return null
  try {
    const { size } = await file.stat()
    const from = Math.max(0, size - tail)
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(Math.min(size, tail)), position: from })
    const text = buffer.toString('utf8', 0, bytesRead)
    // It may begin within a line.
    return from === 0 ? text : text.slice(text.indexOf('\n') + 1)
  } finally {
    await file.close()
  }
}

const texts = [
  'at',
  'exchange',
  'phase',
  'owner',
  'source',
  'type',
  'severity',
  'message',
  'provider',
  'model',
  'upstream',
  'method',
] as const

/** What is shown of a line; null where it is none of ours. The file may be anybody's: nothing of it is believed to be clean. */
function recordOf(line: string): object | null {
  let record: Record<string, unknown>
  try {
    record = JSON.parse(line) as typeof record // looked at below
  } catch {
    return null
  }
  if (typeof record !== 'object' || record === null || typeof record.at !== 'string') return null
  const told: Record<string, unknown> = {}
  for (const name of texts)
    told[name] = typeof record[name] === 'string' ? redactText(record[name]).slice(0, 1024) : null
  return {
    ...told,
    path: typeof record.path === 'string' ? redactUrl(record.path).slice(0, 1024) : null,
    status: typeof record.status === 'number' ? record.status : null,
    ms: typeof record.ms === 'number' ? record.ms : null,
    is_recovered: record.recovered === true,
    is_retryable: record.is_retryable === true,
    attempts: Array.isArray(record.attempts) ? record.attempts.length : 0,
  }
}
