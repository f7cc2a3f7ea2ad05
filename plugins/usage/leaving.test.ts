/** What a client is billed that leaves before its answer has ended. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ServerResponse } from 'node:http'
import { model, scene, until, type Scene } from './usage.fixture.ts'

const delta = { object: 'chat.completion.chunk', model, choices: [{ index: 0, delta: { content: 'Hi' } }] }
const stop = { ...delta, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
const spent = { prompt_tokens: 100, completion_tokens: 10 }
const last = { object: 'chat.completion.chunk', model, choices: [], usage: spent }
const data = (event: object | string) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`
/** 100 tokens at 10 000 units and 10 at 100 000. */
const cost = '0.0002000000'
const rest = '9.9998000000'

/** Begins an answer; the test ends it. `isGone`: the gateway has given it up. */
async function begun(on_disconnect: string | undefined, isStream: boolean) {
  let answer: ServerResponse | undefined
  let isGone = false
  const more = on_disconnect === undefined ? {} : { on_disconnect }
  const it = await scene(
    (_asked, response) => {
      answer = response
      response.on('close', () => (isGone = !response.writableFinished))
      if (!isStream) return
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(data(delta))
    },
    { gateway: more },
  )
  const leaving = new AbortController()
  const asking = it.ask(undefined, { model, max_tokens: 100, stream: isStream }, { signal: leaving.signal })
  asking.catch(() => {})
  await until('the question', () => answer !== undefined)
  if (isStream) await (await asking).body!.getReader().read()
  leaving.abort()
  return Object.assign(it, { answer: answer!, gone: () => until('the end of the upstream', () => isGone) })
}

const noticed = ({ gw }: Scene) =>
  until('a client that has left', () => gw.sidecar.server.gateway.exchanges[0]?.error?.name === 'ClientGone')

const told = async (it: Scene) => {
  await until('a row', async () => (await it.rows()).length > 0)
  const [row, ...others] = await it.rows()
  assert.deepEqual(others, [])
  const { input_tokens: input, output_tokens: output, actual_cost: paid, outcome, usage_source: source } = row!
  return { input, output, paid, outcome, source }
}

describe('a client that leaves before the end', () => {
  test('of a stream is billed for all of it where on_disconnect is drain', async () => {
    await using it = await begun('drain', true)
    await noticed(it)
    it.answer.end([stop, last, '[DONE]'].map(data).join(''))
    assert.deepEqual(await told(it), { input: 100, output: 10, paid: cost, outcome: 'completed', source: 'final' })
    await until('the debit', async () => (await it.balanceOf(1)) === rest)
  })

  test('of a document is billed for it, whenever it comes', async () => {
    await using it = await begun('drain', false)
    await noticed(it)
    const whole = { object: 'chat.completion', model, choices: [{ finish_reason: 'stop' }], usage: spent }
    it.answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(whole))
    assert.deepEqual(await told(it), { input: 100, output: 10, paid: cost, outcome: 'completed', source: 'final' })
    await until('the debit', async () => (await it.balanceOf(1)) === rest)
  })

  for (const on_disconnect of ['abort', undefined])
    test(`is billed for nothing it was not told of where on_disconnect is ${on_disconnect}`, async () => {
      await using it = await begun(on_disconnect, true)
      await it.gone()
      assert.deepEqual(await told(it), {
        input: 0,
        output: 0,
        paid: '0.0000000000',
        outcome: 'client_gone',
        source: 'none',
      })
      assert.equal(await it.balanceOf(1), '10.0000000000')
    })

  test('of an answer that is an error is billed for nothing', async () => {
    await using it = await begun('drain', false)
    await noticed(it)
    it.answer.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: {}, usage: spent }))
    await until('its end', () => it.gw.sidecar.server.gateway.exchanges.length === 0)
    assert.deepEqual(await it.rows(), [])
    assert.equal(await it.balanceOf(1), '10.0000000000')
  })
})
