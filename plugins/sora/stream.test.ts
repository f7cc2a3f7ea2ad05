import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { fakeUpstream, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'

const size = 50 * 2 ** 20
const mebibyte = 2 ** 20
/** The upstream sends this again and again: whatever else is held, the gateway or the client holds. */
const piece = Buffer.alloc(mebibyte, 'frame')

/** Sends 50 MiB as fast as they are taken. */
async function film(_asked: unknown, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'video/mp4', 'content-length': size })
  const closed = once(response, 'close')
  for (let sent = 0; sent < size && !response.destroyed; sent += piece.length) {
    if (!response.write(piece)) await Promise.race([once(response, 'drain'), closed])
  }
  response.end()
}

const before = (upstream: FakeUpstream) =>
  gateway({ plugins: ['sora'], upstreams: [{ name: 'a', provider: 'sora', url: upstream.url, key: 'k' }] })

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void // what the flag has just exposed

/** Bytes of Buffers that something still points to. */
async function held(): Promise<number> {
  collect()
  // What the first collection has found dead is given back by the second.
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  return process.memoryUsage().arrayBuffers
}

/** The answer to a request for media; nothing of it is read yet. */
async function ask(gatewayUrl: string): Promise<IncomingMessage> {
  const asking = request(`${gatewayUrl}/sora/media/video_1`, { agent: false }).end()
  const [answer] = (await once(asking, 'response')) as [IncomingMessage] // what that event has
  return answer
}

describe('50 MiB of media', () => {
  test('pass through, and a few MiB are held at any time', async () => {
    await using upstream = await fakeUpstream(film)
    await using gw = await before(upstream)
    const start = await held()
    let received = 0
    let most = 0
    const answer = await ask(gw.url)
    for await (const chunk of answer) {
      const before = received
      received += (chunk as Buffer).length // no encoding is set
      const isNext = Math.floor(before / (5 * mebibyte)) < Math.floor(received / (5 * mebibyte))
      if (isNext) most = Math.max(most, (await held()) - start)
    }
    assert.equal(received, size)
    assert.ok(most < 4 * mebibyte, `${most} bytes were held`)
  })

  test('wait at the upstream while the client does not read', async () => {
    let response: ServerResponse | null = null
    await using upstream = await fakeUpstream((asked, its) => {
      response = its
      return film(asked, its)
    })
    await using gw = await before(upstream)
    const start = await held()
    const answer = await ask(gw.url)
    await standstill(() => response?.socket?.bytesWritten ?? 0)
    const grown = (await held()) - start
    assert.ok(grown < 4 * mebibyte, `${grown} bytes were held`)
    assert.ok((response!.socket?.bytesWritten ?? 0) < size, 'the upstream still has a part of it')
    answer.destroy()
  })
})

/** Waits until a count has been the same for half a second; ten seconds at most. */
async function standstill(count: () => number): Promise<void> {
  let [before, same] = [-1, 0]
  for (let waited = 0; waited < 200; waited++) {
    same = count() === before && before > 0 ? same + 1 : 0
    if (same === 10) return
    before = count()
    await sleep(50)
  }
  assert.fail('the upstream never came to a stop')
}
