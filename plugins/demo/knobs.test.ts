/** Each knob, seen from the wire. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { knobTable, models, numbers, suffixes } from './knobs.ts'
import { ask, askAndWait, dialects, eventsOf, running, type Running } from './raw-client.ts'

let demo: Running
before(async () => {
  demo = await running()
})
after(() => demo[Symbol.asyncDispose]())

const chat = { model: 'demo', messages: [{ role: 'user', content: 'hello' }] }
const post = (path: string, body: object, headers?: Record<string, string>) => ask(demo.origin + path, body, headers)

test('the README has the table of all knobs', async () => {
  const readme = await readFile(new URL('README.md', import.meta.url), 'utf8')
  assert.equal(/<!-- knobs -->\n([^]*)\n<!-- \/knobs -->/.exec(readme)?.[1], knobTable())
  assert.deepEqual(
    models.slice(1),
    [...suffixes.keys()].map((suffix) => `demo-${suffix}`),
  )
})

for (const { name, whole, streamed } of dialects) {
  describe(name, () => {
    test('answers the same in any pieces, down to single bytes', async () => {
      for (const [path, body] of [whole('demo'), streamed('demo')]) {
        const { text } = await post(path, body)
        for (const size of ['1', '7', '1000', '65536']) {
          const cut = await post(path, body, { 'x-demo-write': size })
          assert.equal(cut.broken, null)
          assert.equal(anonymous(cut.text), anonymous(text))
        }
      }
    })

    test('says as much as it is asked to, in as many events', async () => {
      const [path, body] = streamed('demo')
      const deltas = async (headers: Record<string, string>) =>
        eventsOf((await post(path, body, headers)).text).filter((event) =>
          /"(content|delta|text)":"[^"]/.test(JSON.stringify(event)),
        )
      const base = (await deltas({ 'x-demo-chunks': '1' })).length
      assert.equal((await deltas({ 'x-demo-chunks': '40' })).length - base, 39)
      assert.equal((await deltas({ 'x-demo-chunks': '4', 'x-demo-tokens': '900' })).length - base, 3)
      const [wholePath, wholeBody] = whole('demo')
      const { text } = await post(wholePath, wholeBody, { 'x-demo-tokens': '500' })
      assert.match(text, /"(completion_tokens|output_tokens|candidatesTokenCount)": ?500\b/)
      assert.ok(text.length > 1900)
      assert.ok((await post(...streamed('demo-long'))).text.length > 50_000)
    })

    test('answers with the status asked for, in its own words', async () => {
      for (const status of [400, 401, 403, 404, 429, 500, 503, 529, 504, 418]) {
        for (const [path, body] of [whole(`demo-${status}`), streamed(`demo-${status}`)]) {
          const { status: told, text, headers } = await post(path, body)
          assert.equal(told, status)
          assert.equal(headers['retry-after'], status === 429 ? '1' : undefined)
          assert.match(JSON.parse(text).error.message, new RegExp(String(status)))
        }
      }
    })

    test('breaks off in the middle', async () => {
      const [path, body] = whole('demo-cut')
      const cut = await post(path, body)
      assert.equal(cut.status, 200)
      assert.equal(cut.broken, 'ECONNRESET')
      assert.equal(Buffer.byteLength(cut.text), Number(cut.headers['content-length']) >> 1)

      const [streamPath, streamBody] = streamed('demo')
      const entire = await post(streamPath, streamBody)
      const begun = await post(streamPath, streamBody, { 'x-demo-fault': 'cut' })
      assert.equal(begun.broken, 'ECONNRESET')
      assert.ok(anonymous(entire.text).startsWith(anonymous(begun.text).slice(0, -40)))
      assert.throws(() => eventsOf(begun.text), /in the middle of an event/)
    })

    test('resets the connection, answers with nothing, or with an error for a first event', async () => {
      for (const kind of [whole, streamed]) {
        const reset = await post(...kind('demo-reset'))
        assert.deepEqual([reset.status, reset.broken], [0, 'ECONNRESET'])
        const empty = await post(...kind('demo-empty'))
        assert.deepEqual([empty.status, empty.text, empty.broken], [200, '', null])
      }
      const error = await post(...streamed('demo-error'))
      assert.equal(error.status, 200)
      assert.match(error.headers['content-type'] ?? '', /^text\/event-stream/)
      assert.equal(eventsOf(error.text).length, 1)
      assert.match(error.text, /asked to fail/)
      assert.match((await post(...whole('demo-error'))).text, /^\{\s*"(type|error)": ?("error"|\{)/)
    })

    test('stalls before the headers, or in the middle, with the connection open', async () => {
      const [path, body] = streamed('demo-stall')
      const silent = await askAndWait(demo.port, path, body)
      await assertStuck(silent, 0)
      const [midPath, midBody] = streamed('demo-stall-mid')
      const stuck = await askAndWait(demo.port, midPath, midBody)
      await assertStuck(stuck, 500)
    })
  })
}

describe('time', () => {
  test('passes before the first byte, and between writes', async () => {
    const streamed = { ...chat, stream: true }
    const timed = async (headers: Record<string, string>) => {
      const start = performance.now()
      await post('/v1/chat/completions', streamed, headers)
      return performance.now() - start
    }
    assert.ok((await timed({ 'x-demo-latency': '120' })) >= 118)
    // Ten pieces, the opening, the end and [DONE]: twelve waits, each of which may fire a millisecond early.
    assert.ok((await timed({ 'x-demo-interval': '15', 'x-demo-chunks': '10' })) >= 12 * 14)
  })

  test('is the default of the server where a request does not say otherwise', async () => {
    await using late = await running(100)
    const start = performance.now()
    await ask(`${late.origin}/v1/models`)
    assert.ok(performance.now() - start >= 98)
    const quick = performance.now()
    await ask(`${late.origin}/v1/models`, undefined, { 'x-demo-latency': '0' })
    assert.ok(performance.now() - quick < 98)
  })
})

test('a knob that makes no sense is an error, not ignored', async () => {
  for (const { header, most } of Object.values(numbers)) {
    for (const value of ['-1', '1.5', 'soon', '', `${most + 1}`, '9'.repeat(40)]) {
      const { status, text } = await post('/v1/messages', chat, { [header]: value })
      assert.equal(status, 400, `${header}: ${value}`)
      assert.match(text, new RegExp(header))
    }
  }
  const { status, text } = await post('/v1/messages', chat, { 'x-demo-fault': 'stal' })
  assert.equal(status, 400)
  assert.match(text, /x-demo-fault knows .*stall/)
})

test('each event is a write of its own, and so is each piece where the size of a write is set', async () => {
  const sizes = async (headers: string) => {
    const streamed = { ...chat, stream: true }
    const socket = await askAndWait(demo.port, '/v1/chat/completions', streamed, `connection: close\r\n${headers}`)
    return chunkSizes(await buffer(socket))
  }
  const { text: stream } = await post('/v1/chat/completions', { ...chat, stream: true })
  assert.deepEqual(
    await sizes(''),
    stream.split(/(?<=\n\n)/).map((event) => Buffer.byteLength(event)),
  )
  const [last = 0, ...rest] = (await sizes('x-demo-write: 16\r\n')).toReversed()
  assert.ok(last <= 16)
  assert.deepEqual(new Set(rest), new Set([16]))
})

/** The sizes of the chunks in which a raw answer came. */
function chunkSizes(raw: Buffer): number[] {
  let rest = raw.subarray(raw.indexOf('\r\n\r\n') + 4)
  const sizes: number[] = []
  while (rest.length > 0) {
    assert.match(rest.subarray(0, 8).toString('latin1'), /^[0-9a-f]+\r\n/)
    const line = rest.subarray(0, rest.indexOf('\r\n')).toString()
    const size = Number.parseInt(line, 16)
    if (size > 0) sizes.push(size)
    rest = rest.subarray(line.length + 2 + size + 2)
  }
  return sizes
}

/** The text without what differs from answer to answer: ids and times. */
function anonymous(text: string): string {
  return text.replaceAll(/[0-9a-f]{24}/g, 'ID').replaceAll(/("created(?:_at)?": ?)\d+/g, '$1TIME')
}

/** Reads until at least so many bytes are there, and sees that no more come and that the connection stays open. */
async function assertStuck(socket: Socket, least: number): Promise<void> {
  socket.resume()
  while (socket.bytesRead < least) await once(socket, 'data')
  // What does not happen can only be waited for.
  await sleep(30)
  const before = socket.bytesRead
  await sleep(30)
  assert.equal(socket.bytesRead, before)
  assert.equal(least === 0 ? before : 0, 0)
  assert.equal(socket.readyState, 'open')
  socket.destroy()
}
