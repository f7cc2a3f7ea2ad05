import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import OpenAI from 'openai'
import { definePlugin, refuse } from 'postern/plugin'
import { fakeUpstream, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import { signerOf } from './sign.ts'
import { contentOf, studio } from './studio.fixture.ts'

const key = 'a-key-of-more-than-thirty-two-characters'
const newKey = 'b-key-of-more-than-thirty-two-characters'

const settings = (upstream: FakeUpstream, options: object) => ({
  plugins: [{ sora: options }],
  upstreams: [{ name: 'a', provider: 'sora', url: upstream.url, key: 'the-accounts' }],
})
const before = (upstream: FakeUpstream, options: object = { media_keys: [key] }) => gateway(settings(upstream, options))

/** An upstream that has one finished video, `video_a_1`; `more` is told of it too. */
async function cinema(more: object = {}): Promise<FakeUpstream> {
  const { script, finish } = studio('a')
  finish('video_a_1', { id: 'video_a_1', ...more })
  return fakeUpstream(script)
}

interface Told {
  media_url?: string
  media_url_expires_at?: number
}

const poll = async (gw: TestGateway, id = 'video_a_1') =>
  (await (await fetch(`${gw.url}/sora/v1/videos/${id}`)).json()) as Told // checked by each test

/** The status, and what the body says. */
async function open(gw: TestGateway, path: string): Promise<[number, string]> {
  const answer = await fetch(gw.url + path)
  return [answer.status, await answer.text()]
}

/** A URL as an app that has the key would make it. */
function urlFor(grant: { video?: string; variant?: string; expires?: string }, scope = 'sora', by = key): string {
  const { video = 'video_a_1', variant = 'video', expires = String(Math.floor(Date.now() / 1000) + 60) } = grant
  const signature = signerOf([by], scope).sign({ video, variant, expires })
  return `/sora/media-signed/${video}?variant=${variant}&expires=${expires}&signature=${signature}`
}

describe('the answer about a finished video', () => {
  test('has a URL that opens it without a key, for fifteen minutes', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const earliest = Math.floor(Date.now() / 1000) + 900
    const { media_url = '', media_url_expires_at: until = 0 } = await poll(gw)
    assert.ok(until >= earliest && until <= Math.floor(Date.now() / 1000) + 900)
    assert.match(
      media_url,
      new RegExp(`^/sora/media-signed/video_a_1\\?variant=video&expires=${until}&signature=[\\w-]{43}$`),
    )

    const answer = await fetch(gw.url + media_url, { headers: { range: 'bytes=0-9' } })
    assert.equal(answer.status, 206)
    assert.equal(await answer.text(), contentOf('video_a_1', 'video').toString().slice(0, 10))
    assert.match(answer.headers.get('cache-control') ?? '', /^private, max-age=(900|89\d)$/)
    const asked = upstream.asked.at(-1)
    assert.equal(asked?.url, '/v1/videos/video_a_1/content', 'the upstream is not told the signature')
    assert.equal(asked?.headers.authorization, 'Bearer the-accounts')
  })

  test('is read by the SDK as before, in a list too', async () => {
    const { script, finish } = studio('a')
    await using upstream = await fakeUpstream(script)
    await using gw = await before(upstream)
    const { videos } = new OpenAI({ apiKey: 'k', baseURL: `${gw.url}/sora/v1`, maxRetries: 0 })
    const { id } = await videos.create({ prompt: 'a heron' })
    await videos.create({ prompt: 'another' })
    finish(id)
    const page = await videos.list()
    const urls = page.data.map((video) => (video as Told).media_url) // what the gateway adds is not in the SDK's type
    assert.match(urls[0] ?? '', /^\/sora\/media-signed\/video_a_1\?/)
    assert.equal(urls[1], undefined, 'it is still at work')
    assert.equal((await open(gw, urls[0]!))[0], 200)
    assert.equal((await videos.retrieve(id)).status, 'completed')
  })

  test('is otherwise what the upstream said, to the byte', async () => {
    const video = '{ "id":"video_a_1", "status" :"completed","n":1.0, "big":12345678901234567890 }'
    const list = `{"object":"list", "data":[ ${video} , {"id":"video_a_2","status":"failed","n":2.0} ] ,"has_more":false}`
    await using upstream = await fakeUpstream((asked, response) => {
      const body = asked.url === '/v1/videos' ? list : video
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
        .end(body)
    })
    await using gw = await before(upstream)
    const added = /,"media_url":"[^"]+","media_url_expires_at":\d+/
    for (const [path, wanted] of [
      ['/videos', list],
      ['/videos/video_a_1', video],
    ] as const) {
      const [, told] = await open(gw, `/sora/v1${path}`)
      assert.match(told, added)
      assert.equal(told.replace(added, ''), wanted)
    }
  })

  test('has a whole address where the gateway knows its own', async () => {
    await using upstream = await cinema()
    for (const public_url of ['https://ai.example.com', 'https://ai.example.com/']) {
      await using gw = await before(upstream, { media_keys: [key], public_url })
      assert.match((await poll(gw)).media_url ?? '', /^https:\/\/ai\.example\.com\/sora\/media-signed\/video_a_1\?/)
    }
  })

  test('has a URL under the prefix it was mounted with', async () => {
    await using upstream = await cinema()
    await using gw = await gateway({
      plugins: [{ sora: { as: 'films', prefix: '/ai/films', media_keys: [key] } }],
      upstreams: [{ name: 'a', provider: 'films', url: `${upstream.url}/v1`, key: 'the-accounts' }],
    })
    const answer = await fetch(`${gw.url}/ai/films/v1/videos/video_a_1`)
    const { media_url = '' } = (await answer.json()) as Told // checked below
    assert.match(media_url, /^\/ai\/films\/media-signed\/video_a_1\?/)
    assert.equal((await open(gw, media_url))[0], 200)
  })

  test('has a URL that does not outlive the file', async () => {
    const soon = Math.floor(Date.now() / 1000) + 100
    await using upstream = await cinema({ expires_at: soon })
    await using gw = await before(upstream)
    assert.equal((await poll(gw)).media_url_expires_at, soon)
  })

  test('has none once the file is gone, or while the job is at work, or without a key', async () => {
    await using gone = await cinema({ expires_at: 1_000_000_000 })
    await using working = await cinema({ status: 'in_progress', prompt: 'say "completed"' })
    await using done = await cinema()
    for (const [upstream, options] of [
      [gone, { media_keys: [key] }],
      [working, { media_keys: [key] }],
      [done, {}],
      [done, { media_keys: [''] }],
    ] as const) {
      await using gw = await before(upstream, options)
      assert.equal('media_url' in (await poll(gw)), false)
    }
  })
})

describe('a signed URL', () => {
  test('opens the variant it was signed for', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const [status, body] = await open(gw, urlFor({ variant: 'thumbnail' }))
    assert.deepEqual([status, body], [200, contentOf('video_a_1', 'thumbnail').toString()])
    const head = await fetch(gw.url + urlFor({}), { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), String(contentOf('video_a_1', 'video').length))
  })

  test('that was tampered with in any part opens nothing', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const url = urlFor({})
    const tampered = [
      url.replace('video_a_1', 'video_a_2'),
      url.replace('variant=video', 'variant=thumbnail'),
      url.replace(/expires=(\d+)/, (_, digits: string) => `expires=${Number(digits) + 1}`),
      url.replace('expires=', 'expires=0'),
      url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      url.replace(/signature=.*/, 'signature='),
      urlFor({}, 'sora', newKey),
      urlFor({}, 'films'),
    ]
    for (const one of tampered) {
      const [status, body] = await open(gw, one)
      assert.equal(status, 403, one)
      assert.match(body, /"permission_error".*"media_signature_invalid"/, one)
    }
    assert.equal(upstream.asked.length, 0)
  })

  test('without its parts, or with a time that is none, is told what is wrong with it', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const url = urlFor({})
    for (const [one, says] of [
      ['/sora/media-signed/video_a_1', /needs expires and signature/],
      [url.replace(/&signature=.*/, ''), /needs expires and signature/],
      [url.replace(/expires=\d+/, 'expires=tomorrow'), /time in seconds/],
      [url.replace(/expires=\d+/, 'expires=-1'), /time in seconds/],
      [url.replace(/expires=\d+/, 'expires=1e12'), /time in seconds/],
      [`${url}&expires=9999999999`, /expires is there more than once/],
      [`${url}&token=x`, /no parameters but variant, expires, signature/],
    ] as const) {
      const [status, body] = await open(gw, one)
      assert.equal(status, 400, one)
      assert.match(body, says)
    }
    assert.equal(upstream.asked.length, 0)
  })

  test('whose time is over says so, to who has a real one', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const [status, body] = await open(gw, urlFor({ expires: String(Math.floor(Date.now() / 1000) - 1) }))
    assert.equal(status, 403)
    assert.match(body, /has expired.*"media_url_expired"/)
    assert.match((await open(gw, urlFor({ expires: '1' }, 'sora', newKey)))[1], /media_signature_invalid/)
    assert.equal(upstream.asked.length, 0)
  })

  test('is known by its operation to a plugin that demands keys of everybody else', async () => {
    const doorkeeper = definePlugin({
      name: 'doorkeeper',
      config: { type: 'object', properties: {} },
      reads: ['claim'],
      setup: () => ({
        onRequest({ facts, headers }) {
          if (facts.claim?.operation === 'media_signed' || headers.authorization !== undefined) return
          return refuse(401, 'API_KEY_REQUIRED', 'An API key is required')
        },
      }),
    })
    await using upstream = await cinema()
    const { plugins, upstreams } = settings(upstream, { media_keys: [key] })
    await using gw = await gateway({ plugins: [...plugins, doorkeeper], upstreams })
    assert.equal((await open(gw, '/sora/media/video_a_1'))[0], 401)
    assert.equal((await open(gw, '/sora/v1/videos/video_a_1'))[0], 401)
    assert.equal((await open(gw, urlFor({})))[0], 200)
    assert.equal((await open(gw, urlFor({}, 'sora', newKey)))[0], 403)
  })

  test('survives the rotation of the key, and not the end of it, by reload', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const { media_url: old = '' } = await poll(gw)
    assert.deepEqual(await gw.reload(settings(upstream, { media_keys: [newKey, key] })), [])
    const { media_url: young = '' } = await poll(gw)
    assert.equal((await open(gw, old))[0], 200)
    assert.equal((await open(gw, young))[0], 200)
    assert.deepEqual(await gw.reload(settings(upstream, { media_keys: [newKey] })), [])
    assert.equal((await open(gw, old))[0], 403)
    assert.equal((await open(gw, young))[0], 200)
  })

  test('needs a key that is one: a short one is refused at load, and told to nobody', async () => {
    await using upstream = await cinema()
    await using gw = await before(upstream)
    const [problem] = await gw.reload(settings(upstream, { media_keys: ['hunter2'] }))
    assert.match(problem?.message ?? '', /a key has fewer than 32 characters/)
    assert.doesNotMatch(JSON.stringify([problem, gw.records]), /hunter2/)
    assert.equal((await open(gw, urlFor({})))[0], 200, 'the old gateway goes on')
  })
})
