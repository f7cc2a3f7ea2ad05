import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { scene } from './scene.test.ts'

const failing = json(500, { error: { message: 'it broke' } })

describe('the body of a failed request', () => {
  test('is cut to its newest messages', async () => {
    await using it = await scene(failing, { max_body: '1KiB' })
    const messages = Array.from({ length: 500 }, (_, at) => ({ role: 'user', content: `message ${at}` }))
    await (await it.ask({ model: 'm', messages })).text()
    const [line] = await it.lines()
    const kept = line?.request_body as { messages: typeof messages; request_body_truncated: boolean } // cut from the above
    assert.ok(kept.messages.length > 10)
    assert.deepEqual(kept.messages, messages.slice(-kept.messages.length))
    assert.equal(kept.request_body_truncated, true)
    assert.ok(JSON.stringify(kept).length <= 1024)
  })

  test('is no longer than the bound where masks are longer than what they hide', async () => {
    await using it = await scene(failing, { max_body: '1KiB' })
    const messages = Array.from({ length: 60 }, () => ({ token: '1' }))
    await (await it.ask({ model: 'm', messages })).text()
    const [line] = await it.lines()
    assert.ok(JSON.stringify(line?.request_body).length <= 1024)
    assert.match(JSON.stringify(line?.request_body), /REDACTED.*request_body_truncated/)
  })

  test('keeps its numbers and stands on one line, however it came', async () => {
    await using it = await scene(failing)
    await (await it.ask('{\r\n  "model": "m",\n  "seed": 12345678901234567890\n}')).text()
    await it.lines()
    assert.match(
      await readFile(it.file, 'utf8'),
      /^.*"request_body":\{ {3}"model": "m", {3}"seed": 12345678901234567890 \}\}\n$/,
    )
  })

  test('is not kept where it is no JSON, nor where nobody wants it', async () => {
    await using it = await scene(failing)
    await (await it.ask('--x\r\n\r\nsecret\r\n--x--', { 'content-type': 'multipart/form-data; boundary=x' })).text()
    await using without = await scene(failing, { bodies: false })
    await (await without.ask()).text()
    assert.equal((await it.lines())[0]?.request_body, null)
    assert.equal((await without.lines())[0]?.request_body, null)
  })
})

test('no secret that a request or an upstream names is written', async () => {
  let count = 0
  const planted: string[] = []
  const canary = () => {
    planted.push(`Canary${String(count++).padStart(3, '0')}xQ7`)
    return planted.at(-1)!
  }
  const told = json(
    401,
    {
      error: {
        message: `Incorrect API key sk-${canary()}xyz: see https://u:${canary()}@h/?key=${canary()}`,
        code: 'x',
      },
    },
    { 'x-request-id': `sk-${canary()}` },
  )
  await using it = await scene(told, { max_body: '64KiB' })
  const body = {
    model: `sk-ant-${canary()}`,
    api_key: canary(),
    metadata: { session_token: { deep: [canary()] } },
    messages: [
      { content: `my password: ${canary()}` },
      { content: [{ type: 'text', text: `curl -H "Authorization: Bearer ${canary()}"` }] },
      {
        tool_calls: [
          { function: { arguments: JSON.stringify({ client_secret: canary(), url: `?token=${canary()}` }) } },
        ],
      },
      { content: `-----BEGIN RSA PRIVATE KEY-----\n${canary()}\n-----END RSA PRIVATE KEY-----` },
      { content: `eyJhbGciOi.${canary()}.${canary()}` },
    ],
    [`sk-${canary()}`]: 1,
  }
  const headers = { authorization: `Bearer ${canary()}`, cookie: canary(), 'anthropic-beta': `sk-${canary()}` }
  await (await it.ask(body, headers, `/v1/chat/completions/sk-${canary()}?key=${canary()}`)).text()
  const [line] = await it.lines()
  assert.ok(line?.request_body && line.message)
  const written = await readFile(it.file, 'utf8')
  assert.ok(planted.length > 15)
  for (const secret of planted) assert.ok(!written.includes(secret), `${secret} is in ${written}`)
  assert.ok(!written.includes('key-of-ours'))
})
