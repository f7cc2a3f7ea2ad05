import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import OpenAI, { APIError, toFile } from 'openai'
import { dialectOf } from '../../test/dialect.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import openai from '../openai/index.ts'
import { claimVideo } from './claims.ts'
import { contentOf, studio } from './studio.fixture.ts'

const clientOf = (gw: TestGateway) => new OpenAI({ apiKey: 'the-clients', baseURL: `${gw.url}/sora/v1`, maxRetries: 0 })
const before = (url: string, options = {}) =>
  gateway({ plugins: [{ sora: options }], upstreams: [{ name: 'a', provider: 'sora', url, key: 'the-accounts' }] })

describe('the official SDK', () => {
  test('creates a video, polls it, downloads it, remixes it and deletes it', async () => {
    const { script, finish, videos } = studio('a')
    await using upstream = await fakeUpstream(script)
    await using gw = await before(upstream.url)
    const client = clientOf(gw)

    const made = await client.videos.create({ prompt: 'a heron', model: 'sora-2', seconds: '4' })
    assert.deepEqual([made.id, made.status], ['video_a_1', 'queued'])
    assert.equal((await client.videos.retrieve(made.id)).status, 'queued')
    finish(made.id)
    assert.equal((await client.videos.retrieve(made.id)).status, 'completed')

    const download = await client.videos.downloadContent(made.id, { variant: 'thumbnail' })
    assert.equal(download.headers.get('content-type'), 'video/mp4')
    assert.deepEqual(Buffer.from(await download.arrayBuffer()), contentOf(made.id, 'thumbnail'))

    const piece = await client.videos.downloadContent(made.id, {}, { headers: { range: 'bytes=10-29' } })
    assert.equal(piece.status, 206)
    assert.equal(await piece.text(), contentOf(made.id, 'video').toString().slice(10, 30))

    const remixed = await client.videos.remix(made.id, { prompt: 'at night' })
    assert.equal(remixed.remixed_from_video_id, made.id)
    const listed: string[] = []
    for await (const { id } of client.videos.list()) listed.push(id)
    assert.deepEqual(listed, ['video_a_1', 'video_a_2'])
    assert.equal((await client.videos.delete(made.id)).deleted, true)
    assert.deepEqual([...videos.keys()], ['video_a_2'])
    for (const { headers, url } of upstream.asked) {
      assert.equal(headers.authorization, 'Bearer the-accounts')
      assert.match(url, /^\/v1\/videos/)
    }
  })

  test('uploads a reference image, whose bytes stream through', async () => {
    await using upstream = await fakeUpstream(studio('a').script)
    await using gw = await before(upstream.url)
    const image = Buffer.alloc(300_000, 'pixel')
    const made = await clientOf(gw).videos.create({
      prompt: 'a heron',
      input_reference: await toFile(image, 'first.png'),
    })
    assert.equal(made.id, 'video_a_1')
    const [asked] = upstream.asked
    assert.match(String(asked?.headers['content-type']), /^multipart\/form-data/)
    assert.ok(asked?.body.includes(image))
  })

  test('sends JSON, which leaves as it came', async () => {
    await using upstream = await fakeUpstream(studio('a').script)
    await using gw = await before(upstream.url)
    const body = { prompt: 'a heron', model: 'sora-2', input_reference: { image_url: 'data:image/png;base64,AAAA' } }
    await clientOf(gw).post('/videos', { body })
    assert.deepEqual(JSON.parse(String(upstream.asked[0]?.body)), body)
  })

  test('edits, extends, and makes and finds characters', async () => {
    await using upstream = await fakeUpstream(studio('a').script)
    await using gw = await before(upstream.url)
    const { videos } = clientOf(gw)
    assert.equal((await videos.edit({ prompt: 'bluer', video: { id: 'video_a_9' } })).id, 'video_a_1')
    assert.equal((await videos.extend({ prompt: 'on', seconds: '4', video: { id: 'video_a_1' } })).id, 'video_a_2')
    const character = await videos.createCharacter({ name: 'Mossy', video: await toFile(Buffer.from('clip'), 'm.mp4') })
    assert.equal((await videos.getCharacter(character.id!)).name, 'Mossy')
  })

  test('finds the models, and chats as it did', async () => {
    await using upstream = await fakeUpstream(studio('a').script)
    await using gw = await before(upstream.url)
    const models: string[] = []
    for await (const { id } of clientOf(gw).models.list()) models.push(id)
    assert.deepEqual(models, ['sora-2'])
    const messages = [{ role: 'user' as const, content: 'a heron' }]
    const chat = await clientOf(gw).chat.completions.create({ model: 'sora-2', messages })
    assert.equal(chat.choices[0]?.message.content, 'hello')
    assert.deepEqual(
      upstream.asked.map(({ url }) => url),
      ['/v1/models', '/v1/chat/completions'],
    )
  })

  test('is told what is wrong with an id, and nobody else is asked', async () => {
    await using upstream = await fakeUpstream(studio('a').script)
    await using gw = await before(upstream.url)
    for (const id of ['video.a', 'v'.repeat(129), 'video%2Fa', 'vidéo', 'a b']) {
      await assert.rejects(
        clientOf(gw).videos.retrieve(id),
        (error: unknown) => error instanceof APIError && error.status === 400 && error.code === 'invalid_video_id',
        id,
      )
    }
    assert.equal(upstream.asked.length, 0)
  })

  test('may send a larger body than elsewhere, up to the mount’s own limit', async () => {
    await using upstream = await fakeUpstream(json(200, { id: 'video_a_1', status: 'queued' }))
    await using gw = await gateway({
      plugins: [{ sora: { body_limit: '300KiB' } }, 'openai'],
      limits: { body: '100KiB' },
      upstreams: ['sora', 'openai'].map((provider) => ({ name: provider, provider, url: upstream.url, key: 'k' })),
    })
    const post = async (path: string, length: number) => {
      const body = JSON.stringify({ image: 'x'.repeat(length) })
      return (await fetch(gw.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))
        .status
    }
    assert.equal(await post('/sora/v1/videos', 200_000), 200)
    assert.equal(await post('/sora/v1/videos', 400_000), 413)
    assert.equal(await post('/v1/responses', 200_000), 413)
  })
})

describe('a path under the mount', () => {
  const claim = (method: string, path: string) => {
    const { operation, path: asked, video } = claimVideo(method, path, {}, dialectOf(openai)) ?? {}
    return [operation, asked, video]
  }

  test('is one of a bounded number of operations', () => {
    const at = '/v1/videos'
    assert.deepEqual(claim('POST', at), ['videos.create', at, null])
    assert.deepEqual(claim('GET', at), ['videos.list', at, null])
    assert.deepEqual(claim('GET', `${at}/v1`), ['videos.get', `${at}/v1`, 'v1'])
    assert.deepEqual(claim('DELETE', `${at}/v1`), ['videos.delete', `${at}/v1`, 'v1'])
    assert.deepEqual(claim('GET', `${at}/v1/content`), ['videos.content', `${at}/v1/content`, 'v1'])
    assert.deepEqual(claim('POST', `${at}/v1/remix`), ['videos.remix', `${at}/v1/remix`, 'v1'])
    assert.deepEqual(claim('POST', `${at}/edits`), ['videos.edit', `${at}/edits`, null])
    assert.deepEqual(claim('POST', `${at}/extensions`), ['videos.extend', `${at}/extensions`, null])
    assert.deepEqual(claim('POST', `${at}/characters`), ['videos.characters.create', `${at}/characters`, null])
    assert.deepEqual(claim('GET', `${at}/characters/c1`), ['videos.characters.get', `${at}/characters/c1`, 'c1'])
    assert.deepEqual(claim('GET', '/media/v1'), ['media', `${at}/v1/content`, 'v1'])
    assert.deepEqual(claim('GET', '/media-signed/v1'), ['media_signed', `${at}/v1/content`, 'v1'])
  })

  test('may leave the version out', () => {
    assert.deepEqual(claim('POST', '/videos'), ['videos.create', '/v1/videos', null])
    assert.deepEqual(claim('GET', '/videos/v1/content'), ['videos.content', '/v1/videos/v1/content', 'v1'])
  })

  test('is passed on where nobody knows it yet, as long as it is about videos', () => {
    assert.deepEqual(claim('POST', '/v1/videos/v1/upscale'), ['videos.other', '/v1/videos/v1/upscale', 'v1'])
    assert.deepEqual(claim('PATCH', '/v1/videos'), ['videos.other', '/v1/videos', null])
    for (const path of ['/v1/responses', '/v1/files', '/', '/media', '/media-signed', '/v1/videosX', '/v2/videos']) {
      assert.equal(claimVideo('GET', path, {}, dialectOf(openai)), null, path)
    }
  })
})
