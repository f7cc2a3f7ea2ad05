import { jsonField } from 'postern/provider'
import type { Body } from 'postern/plugin'
import { Bench } from 'tinybench'
import { silentLog } from '../../core/observe/log.ts'
import { openStore } from '../../core/store/open.ts'
import { bench } from '../../test/bench.ts'
import { freshRedis } from '../../test/redis.ts'
import { keyOf, legacyKeyOf, longHash, sessionOf, shortHash } from './keys.ts'
import { openingOf, shapes } from './opening.ts'

const tenant = 'key@0123456789abcdef0123456789abcdef'

for (const [what, id] of [
  ['a uuid', '0f8fad5b-d9cb-469f-a165-70867728950e'],
  ['1 KB of an opening', 'What stands at the beginning. '.repeat(34)],
] as const) {
  await bench(
    `the key of a session that is named by ${what}`,
    {
      XXH64: () => keyOf(sessionOf(tenant, `openai:${shortHash(id)}`)),
      'SHA-256, as the old key': () => legacyKeyOf('0', `openai:${longHash(id)}`),
    },
    { 'SHA-256, as the old key': { atLeast: 1.2 } },
  )
}

/** A conversation of so many turns of 1 KB each, as a coding agent sends it. */
function conversation(turns: number): Buffer {
  const messages = Array.from({ length: turns }, (_, at) => ({
    role: at % 2 ? 'assistant' : 'user',
    content: [{ type: 'text', text: `turn ${at} ${'and what was said in it. '.repeat(40)}` }],
  }))
  return Buffer.from(JSON.stringify({ model: 'm', system: 'rules', messages, max_tokens: 1000 }))
}

/** The naive way: all of the messages are parsed, and the first is taken. */
function parsed(bytes: Buffer): string {
  const { system, messages } = JSON.parse(bytes.toString()) as {
    system: string
    messages: { role: string; content: { text: string }[] }[]
  } // made above
  const first = messages.find(({ role }) => role === 'user')
  return [system, ...(first?.content ?? []).map(({ text }) => text)].join('\0')
}

for (const turns of [2, 100, 1000]) {
  const bytes = conversation(turns)
  // As the gateway has it: the members are known, from the search for the model.
  const known = new Map([['system', jsonField(bytes, 'system')]])
  const body = { kind: 'json', bytes, get: (field: string) => known.get(field) } as Body // nothing is set in it
  await bench(
    `the opening of a conversation of ${turns} turns`,
    {
      'read as far as it goes': () => openingOf(body, shapes.messages),
      'body parsed as a whole': () => parsed(bytes),
    },
    turns < 100 ? {} : { 'body parsed as a whole': { atLeast: 3 } },
  )
}

await using redis = await freshRedis()
const store = await openStore(redis.url, silentLog)
const keys = [
  keyOf(sessionOf(tenant, `openai:${shortHash('s')}`)),
  legacyKeyOf('0', `openai:${longHash('s')}`),
] as const
const commands = await redis.commandsOf(() => store.getMany(keys))
process.stdout.write(`\nlooking a session up, new key and old: ${commands.join(', ')}\n`)
const runs = new Bench({ time: 500, warmupTime: 100 })
runs.add('both at once', async () => void (await store.getMany(keys)))
runs.add('one after the other', async () => {
  for (const key of keys) await store.get(key)
})
await runs.run()
for (const { name, result } of runs.tasks) {
  const ms = result.state === 'completed' ? result.latency.p50 : Number.NaN
  process.stdout.write(`  ${name.padEnd(32)} ${(ms * 1000).toFixed(0).padStart(9)} µs\n`)
}
await store.close()
