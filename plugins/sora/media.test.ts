import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, test } from 'node:test'
import { fakeUpstream, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { contentOf, studio } from './studio.fixture.ts'

const before = (upstream: FakeUpstream, options = {}) =>
  gateway({
    plugins: [{ sora: options }],
    upstreams: [{ name: 'a', provider: 'sora', url: upstream.url, key: 'the-accounts' }],
  })

/** An upstream that has one video, `video_a_1`. */
async function cinema(): Promise<FakeUpstream> {
  const { script, finish } = studio('a')
  finish('video_a_1', { id: 'video_a_1' })
  return fakeUpstream(script)
}

describe('media', () => {
  test('are the video’s bytes with their type and length', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const answer = await fetch(`${gw.url}/sora/media/video_a_1`)
    const whole = contentOf('video_a_1', 'video')
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), whole)
    assert.equal(answer.headers.get('content-type'), 'video/mp4')
    assert.equal(answer.headers.get('content-length'), String(whole.length))
    assert.equal(answer.headers.get('accept-ranges'), 'bytes')
    assert.deepEqual(
      upstream.asked.map(({ url }) => url),
      ['/v1/videos/video_a_1/content'],
    )
  })

  test('are had in other variants', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    for (const variant of ['thumbnail', 'spritesheet', 'video']) {
      const answer = await fetch(`${gw.url}/sora/media/video_a_1?variant=${variant}`)
      assert.equal(await answer.text(), contentOf('video_a_1', variant).toString())
    }
  })

  test('are had in pieces', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const answer = await fetch(`${gw.url}/sora/media/video_a_1`, { headers: { range: 'bytes=5-24' } })
    const whole = contentOf('video_a_1', 'video')
    assert.equal(answer.status, 206)
    assert.equal(answer.headers.get('content-range'), `bytes 5-24/${whole.length}`)
    assert.equal(answer.headers.get('content-length'), '20')
    assert.equal(await answer.text(), whole.toString().slice(5, 25))
  })

  test('are not sent again to who has them', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const { headers } = await fetch(`${gw.url}/sora/media/video_a_1`, { method: 'HEAD' })
    const again = { headers: { 'if-none-match': headers.get('etag') ?? '' } }
    assert.equal((await fetch(`${gw.url}/sora/media/video_a_1`, again)).status, 304)
  })

  test('tell their size to HEAD', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const answer = await fetch(`${gw.url}/sora/media/video_a_1`, { method: 'HEAD' })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-length'), String(contentOf('video_a_1', 'video').length))
    assert.equal(upstream.asked[0]?.method, 'HEAD')
  })

  test('tell the upstream nothing of the browser’s, nor the browser’s site a cookie', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const headers = { cookie: 'session=1', origin: 'http://app', referer: 'http://app/?signature=1', 'if-range': '"x"' }
    // Not fetch, which does not let a page set these.
    const answer = await new Promise<Record<string, unknown>>((resolve, reject) => {
      const asking = request(`${gw.url}/sora/media/video_a_1`, { headers, agent: false }, (response) => {
        response.resume().on('end', () => resolve(response.headers))
      })
      asking.on('error', reject).end()
    })
    assert.equal(answer['set-cookie'], undefined)
    const { cookie, origin, referer, ...sent } = upstream.asked[0]?.headers ?? {}
    assert.deepEqual([cookie, origin, referer], [undefined, undefined, undefined])
    assert.equal(sent['if-range'], '"x"')
    assert.equal(sent.authorization, 'Bearer the-accounts')
  })

  test('that are not there are told as the upstream tells it', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const answer = await fetch(`${gw.url}/sora/media/video_a_2`)
    assert.equal(answer.status, 404)
    assert.match(await answer.text(), /no video video_a_2 at a/)
  })
})

describe('media are refused, in words of the API and before anybody is asked,', () => {
  const bad: Readonly<Record<string, [path: string, status: number, says: RegExp, method?: string]>> = {
    'for an id with other characters': ['/media/video.a', 400, /invalid_video_id/],
    'for an id that is a path': ['/media/a/b', 400, /invalid_video_id/],
    'for an escaped id': ['/media/a%2Fb', 400, /invalid_video_id/],
    'for no id': ['/media/', 400, /invalid_video_id/],
    'for an id without end': [`/media/${'a'.repeat(129)}`, 400, /invalid_video_id/],
    'for an unknown variant': ['/media/video_a_1?variant=gif', 400, /must be one of video, thumbnail, spritesheet/],
    'for an empty variant': ['/media/video_a_1?variant=', 400, /unknown_variant/],
    'for two variants': ['/media/video_a_1?variant=video&variant=video', 400, /variant is there more than once/],
    'for other parameters': ['/media/video_a_1?t=10', 400, /no parameters but variant"/],
    'for a signature that nobody asked for': ['/media/video_a_1?signature=x', 400, /unknown_parameter/],
    'for a very long query': [`/media/video_a_1?variant=${'v'.repeat(600)}`, 414, /url_too_long/],
    'for writing': ['/media/video_a_1', 405, /GET and HEAD/, 'POST'],
    'for deleting': ['/media-signed/video_a_1', 405, /GET and HEAD/, 'DELETE'],
    'where signed URLs are off': ['/media-signed/video_a_1?expires=1&signature=x', 403, /has no key/],
  }
  for (const [what, [path, status, says, method = 'GET']] of Object.entries(bad)) {
    test(what, async () => {
      await using upstream = await cinema()
      await using gw = await before(upstream)
      const answer = await fetch(`${gw.url}/sora${path}`, { method })
      assert.equal(answer.status, status)
      const body = await answer.text()
      assert.match(body, says)
      assert.match(body, /^\{"error":\{"message":/)
      assert.equal(upstream.asked.length, 0)
      if (status === 405) assert.equal(answer.headers.get('allow'), 'GET, HEAD')
    })
  }
})
