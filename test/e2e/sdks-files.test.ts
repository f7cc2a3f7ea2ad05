/** Files through the official SDKs: what is sent and what is fetched is the same to the byte, and none of it is held as JSON is. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { toFile as anthropicFile } from '@anthropic-ai/sdk'
import { ApiError } from '@google/genai'
import { toFile } from 'openai'
import { fakeUpstream, json, type Asked, type Script } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import { anthropic, before, gemini, openai } from '../sdks.ts'

const bytes = randomBytes(1024 * 1024)

/** Answers a file that is asked for with its bytes, in pieces. */
const media =
  (type: string): Script =>
  (_asked, response) => {
    response.writeHead(200, { 'content-type': type })
    for (let at = 0; at < bytes.length; at += 100_000) response.write(bytes.subarray(at, at + 100_000))
    response.end()
  }

/** The one request, whose form has the file in it. */
function uploaded(asked: readonly Asked[], path: string): Asked {
  assert.equal(asked.length, 1)
  assert.equal(asked[0]!.url, path)
  assert.match(asked[0]!.headers['content-type'] ?? '', /^multipart\/form-data; *boundary=/)
  assert.ok(asked[0]!.body.includes(bytes))
  return asked[0]!
}

describe('the OpenAI SDK', () => {
  test('uploads a file', async () => {
    await using upstream = await fakeUpstream(json(200, { id: 'file-1', object: 'file', bytes: bytes.length }))
    await using gw = await gateway(before(upstream.url))
    const file = await toFile(bytes, 'batch.jsonl')
    const made = await openai(gw.url).files.create({ file, purpose: 'batch' })
    assert.deepEqual([made.id, made.bytes], ['file-1', bytes.length])
    const { headers, body } = uploaded(upstream.asked, '/v1/files')
    assert.equal(headers.authorization, 'Bearer k')
    assert.match(String(body), /name="purpose"\r\n\r\nbatch/)
  })

  test('uploads one that is larger than limits.body', async () => {
    await using upstream = await fakeUpstream(json(200, { id: 'file-1', object: 'file' }))
    await using gw = await gateway({ ...before(upstream.url), limits: { body: '64KiB' } })
    await openai(gw.url).files.create({ file: await toFile(bytes, 'a.jsonl'), purpose: 'batch' })
    uploaded(upstream.asked, '/v1/files')
  })

  test('lists files, fetches one and deletes it', async () => {
    const page = { object: 'list', data: [{ id: 'file-1', object: 'file' }], has_more: false }
    await using upstream = await fakeUpstream((asked, response, request) => {
      if (asked.url.endsWith('/content')) return media('application/octet-stream')(asked, response, request)
      const isGone = asked.method === 'DELETE'
      return json(200, isGone ? { id: 'file-1', deleted: true } : page)(asked, response, request)
    })
    await using gw = await gateway(before(upstream.url))
    const { files } = openai(gw.url)
    assert.deepEqual(
      (await files.list()).data.map(({ id }) => id),
      ['file-1'],
    )
    const content = await files.content('file-1')
    assert.ok(Buffer.from(await content.arrayBuffer()).equals(bytes))
    assert.equal((await files.delete('file-1')).deleted, true)
    assert.deepEqual(
      upstream.asked.map(({ method, url }) => `${method} ${url}`),
      ['GET /v1/files', 'GET /v1/files/file-1/content', 'DELETE /v1/files/file-1'],
    )
  })

  test('has sound written down, and words spoken', async () => {
    await using upstream = await fakeUpstream((asked, response, request) => {
      const answers = asked.url.endsWith('/speech') ? media('audio/mpeg') : json(200, { text: 'Grüße' })
      return answers(asked, response, request)
    })
    await using gw = await gateway(before(upstream.url))
    const { audio } = openai(gw.url)
    const file = await toFile(bytes, 'a.wav')
    assert.equal((await audio.transcriptions.create({ file, model: 'whisper-1' })).text, 'Grüße')
    uploaded(upstream.asked, '/v1/audio/transcriptions')
    const spoken = await audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Hello' })
    assert.equal(spoken.headers.get('content-type'), 'audio/mpeg')
    assert.ok(Buffer.from(await spoken.arrayBuffer()).equals(bytes))
  })

  test('is told in its own words that a file is too large', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({ ...before(upstream.url), limits: { upload: '64KiB' } })
    await assert.rejects(
      openai(gw.url).files.create({ file: await toFile(bytes, 'a.jsonl'), purpose: 'batch' }),
      (error) => error instanceof Error && 'status' in error && error.status === 413 && /too large/.test(error.message),
    )
  })
})

test('the Anthropic SDK uploads a file: the same path as OpenAI’s, told apart by its version header', async () => {
  await using upstream = await fakeUpstream(json(200, { id: 'file_1', type: 'file', size_bytes: bytes.length }))
  await using gw = await gateway(before(upstream.url))
  const file = await anthropicFile(bytes, 'a.pdf', { type: 'application/pdf' })
  const made = await anthropic(gw.url).beta.files.upload({ file })
  assert.deepEqual([made.id, made.size_bytes], ['file_1', bytes.length])
  const { headers } = uploaded(upstream.asked, '/v1/files')
  assert.equal(headers['x-api-key'], 'k')
  assert.ok(headers['anthropic-version'])
})

test('the Google SDK is told where to upload, and sends the file there through the gateway, in pieces', async () => {
  const address = 'https://generativelanguage.googleapis.com/upload/v1/files?upload_id=1&upload_protocol=resumable'
  await using upstream = await fakeUpstream((asked, response, request) => {
    const command = asked.headers['x-goog-upload-command']
    const headers: Record<string, string> =
      command === 'start'
        ? { 'x-goog-upload-url': address }
        : { 'x-goog-upload-status': command === 'upload' ? 'active' : 'final' }
    return json(200, { file: { name: 'files/1' } }, headers)(asked, response, request)
  })
  await using gw = await gateway(before(upstream.url))
  const large = Buffer.alloc(9 * 1024 * 1024, bytes) // the SDK's pieces have 8 MiB
  const file = await gemini(gw.url).files.upload({ file: new Blob([large]), config: { mimeType: 'audio/wav' } })
  assert.equal(file.name, 'files/1')
  assert.equal(upstream.asked[0]!.url, '/upload/v1/files')
  const pieces = upstream.asked.slice(1)
  assert.deepEqual(
    pieces.map(({ url, headers }) => [url, headers['x-goog-upload-offset']]),
    [0, 8 * 1024 * 1024].map((offset) => ['/upload/v1/files?upload_id=1&upload_protocol=resumable', String(offset)]),
  )
  assert.ok(Buffer.concat(pieces.map(({ body }) => body)).equals(large))
  for (const { headers } of upstream.asked) assert.equal(headers['x-goog-api-key'], 'k')

  assert.deepEqual(await gw.reload({ ...before(upstream.url), limits: { upload: '1MiB' } }), [])
  await assert.rejects(
    gemini(gw.url).files.upload({ file: new Blob([large]), config: { mimeType: 'audio/wav' } }),
    (error) => error instanceof ApiError && error.status === 413,
  )
})
