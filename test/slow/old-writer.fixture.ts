/**
 * The system before this one, as far as sessions go: it knows the old keys and nothing else. Reads names of sessions from its standard
 * input, a line each, and says on which upstream each is: where its key says, else where it decides, which it writes.
 * Run with the address of Redis and the names of the upstreams.
 */
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'

const [url = '', ...upstreams] = process.argv.slice(2)
const redis = new Redis(url)
let turn = 0

for await (const session of createInterface({ input: process.stdin })) {
  const key = `sticky_session:0:openai:${createHash('sha256').update(session).digest('hex')}`
  const known = await redis.get(key)
  const upstream = known ?? upstreams[turn++ % upstreams.length] ?? ''
  await redis.set(key, upstream, 'EX', 3600)
  process.stdout.write(`${session} ${upstream}\n`)
}
redis.disconnect()
