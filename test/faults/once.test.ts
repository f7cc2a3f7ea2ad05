/** What would create something twice is sent twice only where the first time surely came to nothing. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gateway } from '../harness.ts'
import { freePort, until } from '../redis-server.ts'
import { Progress, send, wireUpstream, type Act } from './wire.ts'

const made: Act = (wire) => {
  wire.head(200, { 'content-type': 'application/json', 'content-length': '14' })
  wire.body('{"id":"made"} ')
}

interface Fault {
  readonly act?: Act
  readonly url?: (port: number) => string
  readonly isAbsent?: boolean
  /** Whether another upstream is asked. */
  readonly isRepeated: boolean
}

const faults: Readonly<Record<string, Fault>> = {
  'a refused connection': { isAbsent: true, isRepeated: true },
  'a name that is not known': { url: () => 'http://nobody.invalid', isRepeated: true },
  'TLS that is none': {
    url: (port) => `https://127.0.0.1:${port}`,
    isRepeated: true,
  },
  'a 429': { act: (wire) => wire.head(429, { 'content-length': '0' }), isRepeated: true },
  'a reset before the headers': { act: (wire) => wire.reset(), isRepeated: false },
  'a 500': { act: (wire) => wire.head(500, { 'content-length': '0' }), isRepeated: false },
}

describe('a batch that is to be created', () => {
  for (const [name, { act = made, url, isAbsent, isRepeated }] of Object.entries(faults)) {
    test(`is ${isRepeated ? 'asked' : 'not asked'} of another upstream after ${name}`, async () => {
      const progress = new Progress()
      await using first = await wireUpstream(act, progress)
      await using second = await wireUpstream(made, progress)
      const port = isAbsent ? await freePort() : first.port
      await using gw = await gateway({
        plugins: ['openai', 'failover'],
        upstreams: [
          { name: 'a', provider: 'openai', url: url?.(port) ?? `http://127.0.0.1:${port}`, key: '1', priority: 1 },
          { name: 'b', provider: 'openai', url: `http://127.0.0.1:${second.port}`, key: '2', priority: 2 },
        ],
      })
      const { status } = await send(gw.url, { path: '/v1/batches', body: { input_file_id: 'f' } })
      assert.equal(second.asked.length, isRepeated ? 1 : 0)
      assert.equal(status === 200, isRepeated)
    })
  }
})

test('many streams that break at once are one reason to rest, not many', async () => {
  const progress = new Progress()
  const cuts: (() => void)[] = []
  await using upstream = await wireUpstream((wire) => {
    wire.head(200, { 'content-type': 'text/event-stream' })
    wire.body('data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
    cuts.push(() => wire.reset())
  }, progress)
  await using gw = await gateway({
    plugins: ['openai', { failover: { rests: { overload: '2s', overload_longest: '1m' } } }],
    upstreams: [{ name: 'a', provider: 'openai', url: `http://127.0.0.1:${upstream.port}`, key: '1' }],
  })
  const asked = Array.from({ length: 12 }, () =>
    send(gw.url, { path: '/v1/chat/completions', body: { model: 'm', stream: true } }),
  )
  await until(() => cuts.length === asked.length)
  for (const cut of cuts) cut()
  await Promise.all(asked)
  await until(() => gw.records.filter(({ message }) => message === 'exchange').length === asked.length)
  const rests = gw.records.flatMap(({ rest_s: seconds }) => (seconds === undefined ? [] : [seconds]))
  assert.deepEqual(rests, [2])
})
