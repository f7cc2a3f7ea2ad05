import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, refuse, type Exchange } from 'postern/plugin'
import { json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { caller, explained, fine, send, told, upstreams, type Explained } from './console.fixture.ts'

const busy = json(429, { error: { message: 'slow down' } }, { 'retry-after': '30' })

describe('/explain', () => {
  test('tells of an exchange who was asked, why, what each said and where the time went', async () => {
    await using some = await upstreams({ a: busy, b: fine })
    await using gw = await gateway({
      plugins: ['console', caller, 'openai', 'sticky-session', 'failover'],
      upstreams: some.list,
    })
    const { id } = await send(gw, { 'x-caller': 'somebody' }, { prompt_cache_key: 'conversation' })
    const trail = await explained(gw, id)
    assert.equal(trail.exchange, id)
    assert.deepEqual(
      [trail.status, trail.provider, trail.operation, trail.model, trail.principal, trail.upstream, trail.answered_by],
      [200, 'openai', 'chat.completions', 'gpt-5', 'somebody', 'b', 'upstream'],
    )
    assert.match(trail.session ?? '', /^somebody:openai:[0-9a-f]{16}$/)
    assert.deepEqual(
      trail.attempts.map(({ upstream, candidates, status }) => [upstream, candidates, status]),
      [
        ['a', ['a', 'b'], 429],
        ['b', ['a', 'b'], 200],
      ],
    )
    for (const { reason, score, ms } of trail.attempts) {
      assert.ok(reason)
      assert.equal(typeof score, 'number')
      assert.ok(ms.first_content! > 0)
    }
    assert.deepEqual(trail.usage, { input: 12, output: 30, cacheRead: 0, cacheWrite: 0 })
    const { total, before_choosing: before, upstreams: asked, own, answer } = trail.ms
    assert.ok(before! <= own! && own! + asked! + answer! <= total! + 0.1, JSON.stringify(trail.ms))

    const second = await explained(gw, (await send(gw)).id)
    const [choice] = second.attempts
    assert.equal(choice?.upstream, 'b')
    assert.deepEqual(
      choice?.passed_over.map(({ upstream }) => upstream),
      ['a'],
    )
    assert.match(choice?.passed_over[0]?.reason ?? '', /^is resting/)
    assert.ok((choice?.passed_over[0]?.wait_ms ?? 0) > 20_000)
  })

  test('tells of a refusal whom nobody could ask, and of a network error its code', async () => {
    await using some = await upstreams({ a: (_asked, response) => void response.destroy() })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    const failed = await explained(gw, (await send(gw)).id)
    assert.equal(failed.attempts[0]?.error, failed.error?.name)
    assert.ok(failed.error)
    await gw.reload({ plugins: ['console', 'openai'] })
    const refused = await explained(gw, (await send(gw)).id)
    assert.deepEqual([refused.status, refused.answered_by, refused.upstream], [503, 'gateway', null])
    assert.deepEqual(refused.attempts[0]?.candidates, [])
  })

  test('tells of a plugin that refused, or failed', async () => {
    const no = definePlugin({
      name: 'no',
      config: { type: 'object', description: 'Refuses.' },
      setup: () => ({
        onRequest({ headers }) {
          if (headers['x-fails']) throw new Error('no: token=sk-canary-0123456789abcdefghij')
          return refuse(403, 'NO', 'no')
        },
      }),
    })
    await using gw = await gateway({ plugins: ['console', 'openai', no] })
    const refused = await explained(gw, (await send(gw)).id)
    assert.deepEqual([refused.status, refused.answered_by, refused.attempts], [403, 'plugin', []])
    assert.deepEqual(refused.answered_in, { plugin: 'no', phase: 'onRequest' })
    const { error, status } = await explained(gw, (await send(gw, { 'x-fails': '1' })).id)
    assert.deepEqual([status, error?.plugin, error?.phase], [500, 'no', 'onRequest'])
    assert.doesNotMatch(error?.message ?? '', /canary/)
  })

  test('tells of what a plugin above it has refused that there was no more to see', async () => {
    const no = definePlugin({
      name: 'no',
      config: { type: 'object', description: 'Refuses.' },
      setup: () => ({ onRequest: () => refuse(403, 'NO', 'no') }),
    })
    await using gw = await gateway({ plugins: [no, 'console', 'openai'] })
    const { status, attempts } = await explained(gw, (await send(gw)).id)
    assert.deepEqual([status, attempts], [403, []])
  })

  test('finds the latest of an id that clients have sent twice, an id with slashes, and none that was never seen', async () => {
    await using some = await upstreams({ a: fine })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    await send(gw, { 'x-request-id': 'twice/or:more' }, { model: 'first' })
    await explained(gw, 'twice/or:more')
    await send(gw, { 'x-request-id': 'twice/or:more' }, { model: 'second' })
    assert.equal((await explained(gw, 'twice/or:more')).model, 'second')
    assert.equal((await told<Explained>(gw, '/explain/twice/or:more')).model, 'second')
    for (const path of ['/explain/never', '/explain/%', '/explain/']) {
      const answer = await fetch(gw.adminUrl + path)
      assert.equal(answer.status, 404, path)
    }
  })

  test('tells of one that is under way', async () => {
    let go = () => {}
    await using some = await upstreams({
      a: async (asked, response, request) => {
        await new Promise<void>((resolve) => (go = resolve))
        await fine(asked, response, request)
      },
    })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    const sent = send(gw, { 'x-request-id': 'slow' })
    let live = null
    while (live?.attempts.length !== 1)
      live = await told<Explained>(gw, '/explain/slow').catch(
        () => new Promise<null>((resolve) => setImmediate(resolve, null)),
      )
    assert.deepEqual([live.state, live.status, live.answered_by, live.attempts[0]?.status], ['live', 0, null, null])
    while (some.of('a').asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
    go()
    assert.equal((await sent).status, 200)
    assert.equal((await explained(gw, 'slow')).status, 200)
  })

  test('keeps so many and no more; a reload keeps the newest', async () => {
    await using some = await upstreams({ a: fine })
    const options = (keep: number) => ({ plugins: [{ console: { keep } }, 'openai'], upstreams: some.list })
    await using gw = await gateway(options(12))
    for (let at = 0; at < 15; at++) await explained(gw, (await send(gw, { 'x-request-id': `id-${at}` })).id)
    const isKept = async (at: number) => (await fetch(`${gw.adminUrl}/explain/id-${at}`)).ok
    const kept = async () =>
      (await Promise.all(Array.from({ length: 16 }, (_, at) => isKept(at)))).flatMap((is, at) => (is ? at : []))
    assert.deepEqual(await kept(), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    assert.deepEqual(await gw.reload(options(10)), [])
    assert.deepEqual(await kept(), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    await explained(gw, (await send(gw, { 'x-request-id': 'id-15' })).id)
    assert.deepEqual(await kept(), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    assert.deepEqual(await gw.reload(options(100)), [])
    assert.deepEqual(await kept(), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
  })
})

describe('the events', () => {
  test('tell what there is, then what changes, and end with the process', async () => {
    await using some = await upstreams({ a: fine })
    const gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    const { id } = await send(gw, { 'x-request-id': 'before' })
    await explained(gw, id)
    const answer = await fetch(`${gw.adminUrl}/console/data/events`)
    assert.equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const until = async (pattern: RegExp) => {
      while (!pattern.test(text)) {
        const { value, done } = await reader.read()
        if (done) assert.fail(`${pattern} never came: ${text}`)
        text += value
      }
    }
    await until(/"id":"before".*"state":"ended"/)
    await send(gw, { 'x-request-id': 'after' })
    await until(/"id":"after","at":"[^"]+","state":"ended"/)
    await gw.reload({ plugins: ['console', 'openai'], upstreams: some.list })
    await send(gw, { 'x-request-id': 'after-reload' })
    await until(/"id":"after-reload"/)
    const ended = (async () => {
      while (!(await reader.read()).done);
    })()
    await gw.stop()
    await ended
    await gw[Symbol.asyncDispose]()
  })

  test('are told to so many pages and no more', async () => {
    await using gw = await gateway({ plugins: ['console', 'openai'] })
    const leaving = new AbortController()
    const open = () => fetch(`${gw.adminUrl}/console/data/events`, { signal: leaving.signal })
    const answers = await Promise.all(Array.from({ length: 32 }, open))
    assert.ok(answers.every(({ status }) => status === 200))
    assert.equal((await open()).status, 503)
    leaving.abort()
  })
})

describe('the page', () => {
  test('has a policy with a nonce that is never told twice, and nothing inline', async () => {
    await using gw = await gateway({ plugins: ['console'] })
    const nonces = new Set<string>()
    for (let time = 0; time < 2; time++) {
      const answer = await fetch(`${gw.adminUrl}/console`)
      const policy = answer.headers.get('content-security-policy') ?? ''
      const [, nonce = ''] = /script-src 'nonce-([A-Za-z0-9+/]{22}==)';/.exec(policy) ?? []
      assert.match(policy, /^default-src 'none'; /)
      assert.doesNotMatch(policy, /unsafe|\*/)
      const html = await answer.text()
      assert.equal(html.split(`nonce="${nonce}"`).length, 3, 'the style and the script')
      assert.doesNotMatch(html, /__|\son\w+=|style=|<style|<script[^>]*>[^<]|https?:/)
      nonces.add(nonce)
    }
    assert.equal(nonces.size, 2)
  })

  test('is where it is wanted, with all its files, and they need no key', async () => {
    const admin = { listen: '127.0.0.1:0', key: 'an-admin-key-of-some-length' }
    await using gw = await gateway({ plugins: [{ console: { path: '/ops' } }], admin })
    const html = await (await fetch(`${gw.adminUrl}/ops`)).text()
    for (const [, file = ''] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g))
      assert.ok((await fetch(gw.adminUrl + file)).ok, file)
    const main = await (await fetch(`${gw.adminUrl}/ops/console.js`)).text()
    for (const [, file = ''] of main.matchAll(/from '\.\/([^']+)'/g)) {
      const answer = await fetch(`${gw.adminUrl}/ops/${file}`)
      assert.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8', file)
    }
    for (const path of [
      '/ops/data/events',
      '/ops/data/upstreams',
      '/ops/data/usage',
      '/ops/data/errors',
      '/ops/data/sessions',
      '/explain/x',
    ])
      assert.equal((await fetch(gw.adminUrl + path)).status, 401, path)
    assert.equal((await fetch(`${gw.adminUrl}/console`)).status, 401)
  })
})

test('a turn of a WebSocket, or whatever inherits facts, has notes of its own', async () => {
  await using some = await upstreams({ a: fine })
  const inherits = definePlugin({
    name: 'inherits',
    config: { type: 'object', description: 'Hands the facts of an exchange on to the next.' },
    writes: ['console_notes'],
    setup() {
      let before: Exchange['facts']['console_notes'] = null
      return {
        onRequest: ({ facts }) => void (facts.console_notes = before),
        onEnd: ({ facts }) => void (before = facts.console_notes),
      }
    },
  })
  await using gw = await gateway({ plugins: [inherits, 'console', 'openai'], upstreams: some.list })
  for (const id of ['one', 'two']) {
    await send(gw, { 'x-request-id': id })
    assert.deepEqual(
      (await explained(gw, id)).attempts.map(({ status }) => status),
      [200],
    )
  }
})
