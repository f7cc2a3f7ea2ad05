import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { toUnits } from 'postern/access'
import type { Script } from '../../test/fake-upstream.ts'
import { chat, scene, serving, until, wallet, type Scene } from './usage.fixture.ts'

/** Ten tokens of input and one of output, in units of 10⁻¹⁰ USD. */
const cost = 200_000n

async function askTimes(it: Scene, times: number, headers: Record<string, string> = {}): Promise<void> {
  for (let time = 0; time < times; time++) await (await it.ask(wallet(1), undefined, { headers })).text()
}
const spent = async (it: Scene) => toUnits('10') - toUnits(await it.balanceOf(1))
const quiet = (it: Scene) => until('the ends', () => it.gw.sidecar.server.gateway.exchanges.length === 0)

/** What an upstream says of itself in a header. */
const withHeaders =
  (script: Script, headers: (asked: Parameters<Script>[0]) => Record<string, string>): Script =>
  (asked, response, request) => {
    for (const [name, value] of Object.entries(headers(asked))) response.setHeader(name, value)
    return script(asked, response, request)
  }

describe('an exchange is billed under a name', () => {
  test('that its client cannot choose: a repeated X-Request-ID is paid for each time', async () => {
    const answer = serving(() => ({ ...chat(10, 1), id: undefined }))
    await using it = await scene(
      withHeaders(answer, ({ headers }) => ({ 'x-request-id': String(headers['x-request-id']) })),
    )
    await askTimes(it, 3, { 'x-request-id': 'always-the-same-0123456789' })
    await until('three rows', async () => (await it.rows()).length === 3)
    assert.equal(await spent(it), 3n * cost)
  })

  test('that is its own where the upstream’s is too short to be unique', async () => {
    await using it = await scene(serving(() => ({ ...chat(10, 1), id: 'chatcmpl-123' })))
    await askTimes(it, 3)
    await until('three rows', async () => (await it.rows()).length === 3)
    assert.equal(await spent(it), 3n * cost)
  })

  test('of the upstream’s header, so that an answer that comes twice is one bill', async () => {
    const answer = withHeaders(
      serving(() => chat(10, 1)),
      () => ({ 'request-id': 'req_011CSHoEeqs5C35K2UUqR7Fy' }),
    )
    await using it = await scene(answer)
    await askTimes(it, 3)
    await quiet(it)
    // What it does not owe after all is there again: else the fourth would be refused.
    await until('a row', async () => (await it.rows()).length === 1)
    assert.equal((await it.rows())[0]!.request_id, 'req_011CSHoEeqs5C35K2UUqR7Fy')
    assert.equal(await spent(it), cost)
  })

  test('that two different answers cannot share: both are billed, and the log tells', async () => {
    let output = 0
    await using it = await scene(
      withHeaders(
        serving(() => chat(10, ++output)),
        () => ({ 'request-id': 'req_constant_0123456789' }),
      ),
    )
    await askTimes(it, 2)
    await until('two rows', async () => (await it.rows()).length === 2)
    assert.equal(await spent(it), 2n * cost + 100_000n)
    assert.ok(
      it.gw.records.some(({ message, level }) => level === 'warn' && message.includes('one name to two answers')),
    )
  })

  test('of a stored response, however often it is fetched, once it tells its tokens', async () => {
    const id = 'resp_0123456789abcdef0123'
    const usage = { input_tokens: 10, output_tokens: 1 }
    let requests = 0
    const answer = serving(() =>
      requests++ < 2
        ? { id, object: 'response', status: 'queued', usage: null }
        : { id, object: 'response', status: 'completed', model: 'gpt-test', usage },
    )
    await using it = await scene(withHeaders(answer, () => ({ 'x-request-id': `req_${requests}_0123456789abcdef` })))
    const ask = async (init: object) => (await it.ask(wallet(1), { model: 'gpt-test' }, init)).text()
    await ask({ path: '/v1/responses' })
    for (let times = 0; times < 4; times++) await ask({ method: 'GET', path: `/v1/responses/${id}` })
    await quiet(it)
    await until('two rows', async () => (await it.rows()).length === 2)
    assert.deepEqual(
      (await it.rows()).map(({ request_id, usage_source }) => [request_id === id, usage_source]),
      [
        [false, 'none'],
        [true, 'final'],
      ],
    )
    assert.equal(await spent(it), cost)
  })
})
