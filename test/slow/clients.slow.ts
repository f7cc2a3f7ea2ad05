/**
 * LangChain's chat models, unmodified, before scripted upstreams: only their base URL is the gateway's. Needs the registry of npm once.
 * Run with `node --test --test-isolation=none test/slow/clients.slow.ts`; half a minute.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { answer } from '../../core/testing/answers.ts'
import { cut, failure, inTurn } from '../../core/testing/scripts.ts'
import { running } from '../../plugins/demo/raw-client.ts'
import { at, blocks, page, runProgram } from '../clients-page.ts'
import { fakeUpstream, type Script } from '../fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../harness.ts'
import { before as beforeUpstream, providers } from '../sdks.ts'
import { clientNames, langChain, type ClientName, type Failed, type LangChain } from './langchain-process.fixture.ts'

let chain: LangChain
before(async () => void (chain = await langChain()))
after(() => chain?.[Symbol.asyncDispose]())

const exchanges = (gw: TestGateway) => gw.records.filter(({ message }) => message === 'exchange').length

/** Those of Google have none. */
const hasOwnCodes = (client: ClientName) => !client.startsWith('ChatGoogle')

/** Those of Google pass over an event that is an error, as they would if Google sent it. */
const raisesCut = (client: ClientName) => !client.startsWith('ChatGoogle')

/** The SDK below ChatGoogleGenerativeAI keeps the headers of errors to itself. */
const readsRetryAfter = (client: ClientName) => client !== 'ChatGoogleGenerativeAI'

describe(`the code of ${page}`, () => {
  for (const program of blocks('js')) {
    test(`at ${program.place} runs as it stands`, async () => {
      await using gw = await gateway({ plugins: [...providers, 'demo', 'failover'] })
      const { folder } = chain
      const { code, out, err } = await runProgram({ ...program, text: at(gw.url, program) }, { folder })
      assert.equal(code, 0, err)
      assert.match(out, /demo upstream/)
    })
  }
})

for (const client of clientNames) {
  describe(`${client} of LangChain`, () => {
    test('is answered, with its usage; the key that leaves is the gateway’s', async () => {
      await using upstream = await fakeUpstream(answer('It is sunny in Rome.'))
      await using gw = await gateway(beforeUpstream(upstream.url))
      const told = await chain.ask({ client, url: gw.url })
      assert.ok(told.ok, JSON.stringify(told))
      assert.equal(told.text, 'It is sunny in Rome.')
      assert.deepEqual([told.usage?.input_tokens, told.usage?.output_tokens], [3, 5])
      assert.equal(upstream.asked.length, 1)
      assert.doesNotMatch(JSON.stringify(upstream.asked[0]!.rawHeaders) + upstream.asked[0]!.url, /client-key/)
    })

    test('reads a stream piece by piece', async () => {
      await using upstream = await fakeUpstream(answer('It is sunny in Rome.'))
      await using gw = await gateway(beforeUpstream(upstream.url))
      const told = await chain.ask({ client, url: gw.url, how: 'stream' })
      assert.ok(told.ok, JSON.stringify(told))
      assert.equal(told.text, 'It is sunny in Rome.')
      assert.ok(told.pieces >= 3, `${told.pieces} pieces`)
      assert.ok(told.finish)
    })

    for (const how of ['tools', 'streamed tools'] as const) {
      test(`has a tool called and goes on with what it said: ${how}`, async () => {
        // The demo calls the tool it is given, and turns to words with the result.
        await using upstream = await running()
        await using gw = await gateway(beforeUpstream(upstream.origin))
        const told = await chain.ask({ client, url: gw.url, how })
        assert.ok(told.ok, JSON.stringify(told))
        assert.deepEqual(
          told.calls.map(({ name, args }) => [name, Object.keys(args)]),
          [['weather', ['city']]],
        )
        assert.match(told.text, /demo upstream/)
        assert.equal(exchanges(gw), 2)
      })
    }

    test('leaves in mid-stream, and the upstream hears of it', async () => {
      const { script, left } = thatStays(answer('It is sunny in Rome.'))
      await using upstream = await fakeUpstream(script)
      await using gw = await gateway(beforeUpstream(upstream.url))
      const told = await chain.ask({ client, url: gw.url, how: 'abort' })
      assert.ok(!told.ok)
      assert.match(`${told.name} ${told.message}`, /abort/i)
      await left
    })

    test('understands that its key is not known, and asks once', async () => {
      const keys = [{ name: 'app', key: 'a-key-that-nobody-guesses' }]
      const failed = await refused(client, { plugins: ['api-key-auth', ...providers], keys }, 1)
      assert.equal(failed.status, 401)
      assert.match(failed.message, /key/i)
      if (hasOwnCodes(client)) assert.equal(failed.code, 'MODEL_AUTHENTICATION')
    })

    test('understands that nobody serves the model, and asks once', async () => {
      const upstreams = providers.map((provider) => ({ name: provider, provider, models: ['other'], key: 'k' }))
      const failed = await refused(client, { plugins: providers, upstreams }, 1)
      assert.equal(failed.status, 404)
      assert.match(failed.message, /No upstream of this gateway serves this model/)
      if (hasOwnCodes(client)) assert.equal(failed.code, 'MODEL_NOT_FOUND')
    })

    test('asks again where the upstream could not be reached, and is told so at last', async () => {
      const failed = await refused(client, beforeUpstream('http://127.0.0.1:9'), 2)
      assert.equal(failed.status, 502)
      assert.match(failed.message, /The upstream could not be reached/)
    })

    test(`of a stream that was cut after its first words: ${raisesCut(client) ? 'an error' : 'no reason to finish'}`, async () => {
      await using upstream = await fakeUpstream(cut(4, answer('It is sunny in Rome.')))
      await using gw = await gateway(beforeUpstream(upstream.url))
      const told = await chain.ask({ client, url: gw.url, how: 'stream' })
      if (raisesCut(client)) {
        assert.ok(!told.ok)
        assert.match(told.message, /The upstream broke off/)
      } else {
        assert.ok(told.ok, JSON.stringify(told))
        assert.equal(told.finish, null)
      }
    })

    test(`of a limit: ${readsRetryAfter(client) ? 'waits as long as Retry-After says' : 'an error, at once'}`, async () => {
      await using upstream = await fakeUpstream(inTurn(failure(429, { 'retry-after': '3' }), answer('Now.')))
      await using gw = await gateway({ ...beforeUpstream(upstream.url), plugins: [...providers, 'failover'] })
      const first = await chain.ask({ client, url: gw.url })
      assert.ok(!first.ok && first.status === 429, JSON.stringify(first))
      // Now the upstream rests, and it is the gateway that answers 429. By itself LangChain would come back after one to two seconds.
      const told = await chain.ask({ client, url: gw.url, maxRetries: 1 })
      if (readsRetryAfter(client)) {
        assert.ok(told.ok, JSON.stringify(told))
        assert.equal(told.text, 'Now.')
        assert.deepEqual([exchanges(gw), upstream.asked.length], [3, 2])
      } else {
        assert.ok(!told.ok && told.name === 'RateLimitCapacityError' && told.status === 429, JSON.stringify(told))
        assert.deepEqual([exchanges(gw), upstream.asked.length], [2, 1])
      }
    })
  })
}

/** Says what the script says and never ends; resolves `left` when the gateway has hung up. */
function thatStays(script: Script): { script: Script; left: Promise<void> } {
  let hungUp = () => {}
  const left = new Promise<void>((resolve) => (hungUp = resolve))
  return {
    left,
    script(asked, response, request) {
      request.socket.once('close', hungUp)
      response.end = () => response
      return script(asked, response, request)
    },
  }
}

/** What is raised where the client may ask again once, and asks so many times. */
async function refused(client: ClientName, options: GatewayOptions, times: number): Promise<Failed> {
  await using gw = await gateway(options)
  const told = await chain.ask({ client, url: gw.url, maxRetries: 1 })
  assert.ok(!told.ok, JSON.stringify(told))
  assert.equal(exchanges(gw), times)
  return told
}
