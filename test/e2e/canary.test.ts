/** Secrets are planted in every place that a request, a configuration, an answer or a URL has for them, and looked for in every sink. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLog } from '../../core/observe/log.ts'
import { pluginSource } from '../../core/plugins.ts'
import { startSidecar } from '../../core/sidecar.ts'
import { until } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, json, type Asked, type Script } from '../fake-upstream.ts'
import { toYaml, type GatewayOptions } from '../harness.ts'
import { migratedDatabase } from '../postgres.ts'
import { freshRedis } from '../redis.ts'
import { brokenFiles, command, pagesOf, tablesOf } from './canary-sinks.fixture.ts'
import { Garden, leaks, shapes, type Sink } from './canary.fixture.ts'
import { connect, responsesUpstream, upstreamOf } from './websocket-client.fixture.ts'

test('a secret that is not hidden is found, however it is spelt', () => {
  const garden = new Garden()
  const plain = garden.plant('the plain one')
  const encoded = garden.plant('the encoded one')
  const prompt = garden.prompt('the prompt')
  const kept = garden.plant('the one that stayed')
  const sinks = [
    { name: 'a log', text: `{"x":"${plain}"} ${prompt}` },
    { name: 'a page', text: `a ${Buffer.from(`user:${encoded}!`).toString('base64')} b` },
    { name: 'a store of bodies', text: prompt, keepsPrompts: true },
    { name: 'another log', text: plain.toUpperCase() },
  ]
  const found = leaks(sinks, garden.planted)
  assert.deepEqual(
    found.map((one) => one.split(':')[0]),
    ['the plain one in a log', 'the prompt in a log', 'the encoded one in a page', 'the plain one in another log'],
  )
  assert.ok(!found.join().includes(kept))
})

test('no secret survives: not in a log, a file, a row, a metric, a page, a span, an error or a refusal', async () => {
  const garden = new Garden()
  const plant = (place: string, shape?: (core: string) => string) => garden.plant(place, shape)
  const folder = await mkdtemp(join(tmpdir(), 'postern-canary-'))
  const [logFile, errorsFile] = [join(folder, 'log'), join(folder, 'errors.jsonl')]
  const adminKey = plant('admin.key')
  const callerKey = plant('keys: the key of a caller', shapes.openai)
  const redisPassword = plant('store: the password of Redis')
  const databasePassword = plant('database: the password of PostgreSQL')
  const upstreamKeys = {
    openai: plant('upstreams: a key for OpenAI', shapes.openai),
    anthropic: plant('upstreams: a key without a shape'),
    gemini: plant('upstreams: a key for Google', shapes.google),
    spare: plant('upstreams: a spare key', shapes.openai),
  }

  /** What upstreams say that are not careful: the key that they were sent, and secrets of their own. */
  const careless = (name: string, status: number): Script => {
    const own = garden.upstreams(`an upstream's error (${name})`, shapes.userinfo)
    const named = garden.upstreams(`a named field of an upstream's error (${name})`)
    const inHeader = garden.upstreams(`a header of an upstream's answer (${name})`)
    return (asked, response, request) => {
      const sent = keysIn(asked).join(' and ')
      const error = { message: `Incorrect API key provided: ${sent}, see ${own}`, type: 'auth', access_token: named }
      return json(status, { error }, { 'x-debug-key': sent, 'set-cookie': `session=${inHeader}` })(
        asked,
        response,
        request,
      )
    }
  }
  const good: Script = (asked, response, request) => {
    if (asked.url.includes('fail')) return careless401(asked, response, request)
    return json(200, answer)(asked, response, request)
  }
  const answer = {
    id: 'chatcmpl-1',
    model: 'gpt-5',
    choices: [{ message: { role: 'assistant', content: garden.prompt('an answer') }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 7 },
  }
  const careless401 = careless('401', 401)

  await using redis = await freshRedis({ password: redisPassword })
  await using database = await migratedDatabase()
  await using openai = await fakeUpstream(good)
  await using spare = await fakeUpstream(careless('500', 500))
  await using anthropic = await fakeUpstream(careless('401 of Anthropic', 401))
  await using google = await fakeUpstream(careless('403 of Google', 403))
  await using turns = await responsesUpstream()
  const told: Asked[] = []
  await using collector = await fakeUpstream((asked, response, request) => {
    told.push(asked)
    return json(200, {})(asked, response, request)
  })

  const options: GatewayOptions = {
    log: { level: 'debug' },
    admin: { listen: '127.0.0.1:0', key: adminKey },
    store: redis.url,
    database: withPassword(database.url, databasePassword),
    keys: [{ name: 'somebody', key: callerKey }],
    upstreams: [
      { name: 'o', provider: 'openai', url: openai.url, key: upstreamKeys.openai, priority: 1, models: ['gpt-5'] },
      { name: 's', provider: 'openai', url: spare.url, key: upstreamKeys.spare, priority: 2, models: ['gpt-5'] },
      { ...upstreamOf('w', turns), models: ['gpt-ws'] },
      { name: 'a', provider: 'anthropic', url: anthropic.url, key: upstreamKeys.anthropic },
      { name: 'g', provider: 'gemini', url: google.url, key: upstreamKeys.gemini },
    ],
    plugins: [
      'security-headers',
      { otel: { endpoint: collector.url, headers: { 'x-otel-key': plant('otel: a header') } } },
      { console: { errors: errorsFile } },
      'api-key-auth',
      'openai',
      'anthropic',
      'gemini',
      { 'ops-capture': { file: errorsFile } },
      'sticky-session',
      'concurrency',
      { failover: { attempts: 3 } },
      { usage: { journal: join(folder, 'journal') } },
    ],
  }
  const file = join(folder, 'gateway.yaml')
  await writeFile(file, toYaml(options, new Map()))
  const log = openLog({ level: 'debug', destination: logFile })
  const sidecar = await startSidecar({ file, plugins: pluginSource, log, env: {}, watch: false })
  await using ending = new AsyncDisposableStack()
  ending.defer(async () => void (await sidecar.stop()))
  const sinks: Sink[] = []
  const exchanges: string[] = []

  /** Asks, and keeps what the client is told where it is an error: a good answer is the upstream's own. */
  async function ask(name: string, path: string, init: RequestInit): Promise<void> {
    const id = `canary-${exchanges.length}`
    exchanges.push(id)
    const response = await fetch(sidecar.url + path, { ...init, headers: { ...headersOf(init), 'x-request-id': id } })
    const text = await response.text()
    if (response.status >= 400)
      sinks.push({
        name: `what the client is told (${name})`,
        isClients: true,
        text: `${JSON.stringify([...response.headers])} ${text}`,
      })
  }
  const body = (name: string, more: object) =>
    JSON.stringify({
      messages: [{ role: 'user', content: garden.prompt(`a prompt (${name})`) }],
      api_key: plant(`a field of a body (${name})`),
      nested: { client_secret: plant(`a nested field (${name})`), text: plant(`a PEM block (${name})`, shapes.pem) },
      tool: JSON.stringify({ password: plant(`JSON within JSON (${name})`), note: plant(`AWS (${name})`, shapes.aws) }),
      user: plant(`a JWT (${name})`, shapes.jwt),
      ...more,
    })
  const secretHeaders = (name: string) => ({
    cookie: `session=${plant(`a cookie (${name})`)}`,
    'proxy-authorization': shapes.basic(plant(`proxy-authorization (${name})`)),
    'x-forwarded-authorization': shapes.bearer(plant(`a header named like one (${name})`)),
    referer: plant(`a referer (${name})`, shapes.userinfo),
    'user-agent': `app/1 ${plant(`a user agent (${name})`, shapes.assigned)}`,
    'content-type': 'application/json',
  })
  const caller = { authorization: `Bearer ${callerKey}` }

  await ask('served', `/v1/chat/completions?api_key=${plant('a parameter (served)')}`, {
    method: 'POST',
    headers: { ...caller, ...secretHeaders('served') },
    body: body('served', { model: 'gpt-5' }),
  })
  await ask('refused by upstreams', `/v1/chat/completions?fail=1&access_token=${plant('a parameter (refused)')}`, {
    method: 'POST',
    headers: { ...caller, ...secretHeaders('refused by upstreams') },
    body: body('refused by upstreams', { model: 'gpt-5' }),
  })
  await ask('Anthropic', '/v1/messages', {
    method: 'POST',
    headers: { 'x-api-key': callerKey, ...secretHeaders('Anthropic') },
    body: body('Anthropic', { model: 'claude', max_tokens: 9 }),
  })
  await ask('Google', `/v1beta/models/gemini-3:generateContent?key=${callerKey}`, {
    method: 'POST',
    headers: secretHeaders('Google'),
    body: body('Google', { contents: [] }),
  })
  await ask('a wrong ?key=', `/v1beta/models/gemini-3:generateContent?key=${plant('?key=', shapes.google)}`, {
    method: 'POST',
    headers: secretHeaders('a wrong ?key='),
    body: body('a wrong ?key=', { contents: [] }),
  })
  for (const [name, value] of [
    ['authorization', plant('a wrong authorization', shapes.bearer)],
    ['x-api-key', plant('a wrong x-api-key', shapes.anthropic)],
    ['x-goog-api-key', plant('a wrong x-goog-api-key', shapes.google)],
  ] as const)
    await ask(`a wrong ${name}`, '/v1/messages', { method: 'POST', headers: { [name]: value }, body: '{}' })
  await ask('a torn body', '/v1/chat/completions', {
    method: 'POST',
    headers: { ...caller, 'content-type': 'application/json' },
    body: `{"model":"gpt-5","api_key":"${plant('a torn body')}`,
  })
  await ask('an unknown model', '/v1/chat/completions', {
    method: 'POST',
    headers: { ...caller, 'content-type': 'application/json' },
    body: JSON.stringify({ model: plant('a key in place of a model', shapes.openai) }),
  })
  await ask('no route', `/nowhere/${plant('a path', shapes.openai)}?token=${plant('a parameter (no route)')}`, {
    headers: caller,
  })
  const form = new FormData()
  form.set('model', 'gpt-5')
  form.set('password', plant('a field of a form'))
  form.set('file', new Blob([plant('a file of a form', shapes.pem)]), 'key.pem')
  await ask('a form', '/v1/audio/transcriptions?fail=1', { method: 'POST', headers: caller, body: form })

  {
    const url = `${sidecar.url}/v1/responses?access_token=${plant('a WebSocket upgrade')}`
    using client = await connect(url, { headers: caller })
    client.send(body('a turn', { type: 'response.create', model: 'gpt-ws' }))
    await client.until('response.completed')
    client.send(`{"type":"response.create","api_key":"${plant('a torn message')}`)
    await client.closed
  }
  const offered = `openai-insecure-api-key.${plant('a subprotocol', shapes.openai)}`
  for (const [query, protocols] of [
    ['', ['realtime', offered]],
    [`?key=${plant('the key of a WebSocket upgrade')}`, []],
  ] as const) {
    const refused: unknown = await connect(`${sidecar.url}/v1/responses${query}`, { protocols: [...protocols] }).catch(
      (error: unknown) => error,
    )
    assert.ok(refused instanceof Error)
    sinks.push({ name: `a refused upgrade ${query.slice(0, 4)}`, text: JSON.stringify(refused) })
  }

  const wrongKey = await fetch(`${sidecar.adminUrl}/configuration`, {
    headers: { authorization: plant('a wrong admin key', shapes.bearer) },
  })
  sinks.push({ name: 'the refusal of a wrong admin key', text: await wrongKey.text() })

  const broken = brokenFiles(plant)
  for (const [at, text] of broken.entries()) {
    await writeFile(file, text)
    const problems = await sidecar.reload()
    assert.ok(problems.length > 0, text)
    sinks.push({ name: `the problems of the broken file ${at}`, text: JSON.stringify(problems) })
    sinks.push(...(await pagesOf(sidecar, adminKey, [])).map((page) => ({ ...page, name: `${page.name}, file ${at}` })))
  }
  // The words are the same as those of a reload: one file that is no YAML, one that is wrong, show that nothing is added.
  const commands = await Promise.all(
    [0, 1].map(async (at) => {
      const path = join(folder, `broken-${at}.yaml`)
      await writeFile(path, broken[at]!)
      return { name: `postern check, file ${at}`, text: await command(path, 'check') }
    }),
  )
  sinks.push(...commands, { name: 'postern run', text: await command(join(folder, 'broken-0.yaml'), 'run') })

  await until(() => sidecar.server.gateway.exchanges.length === 0)
  sinks.push(...(await pagesOf(sidecar, adminKey, [...exchanges, 'unknown'])))
  await sidecar.stop()
  log.flush()
  sinks.push({ name: 'the log', text: await readFile(logFile, 'utf8') })
  sinks.push(...(await tablesOf(database.url)))
  for (const { url, body } of told) sinks.push({ name: `telemetry ${url}`, text: body.toString() })
  await rm(folder, { recursive: true })

  assert.deepEqual(leaks(sinks, garden.planted), [])
  // The sinks do tell something, and what was planted did arrive.
  const found = (name: string) =>
    sinks
      .filter((sink) => sink.name.startsWith(name))
      .map(({ text }) => text)
      .join('\n')
  assert.ok(openai.asked.some(({ headers }) => headers.authorization === `Bearer ${upstreamKeys.openai}`))
  assert.match(found('the log'), /"level":"debug"/)
  assert.match(found('the log'), /"message":"exchange"|"msg":"exchange"/)
  assert.match(found('the table ops_error_logs'), /canary-1,/)
  assert.match(found('the table usage_logs'), /gpt-ws/)
  assert.match(found('telemetry /v1/traces'), /gen_ai\.request\.model/)
  assert.match(found('telemetry /v1/metrics'), /postern_exchanges_total/)
  assert.match(found('page /explain/canary-1'), /"attempts"/)
  assert.match(found('postern check'), /broken-0\.yaml:/)
  assert.ok(garden.planted.length > 100, String(garden.planted.length))
})

/** The keys that an upstream was sent, wherever its API has them. */
function keysIn({ headers }: Asked): string[] {
  return [headers.authorization, headers['x-api-key'], headers['x-goog-api-key']]
    .flatMap((one) => one ?? [])
    .map(String)
}

/** A server on a socket, or one that trusts its own machine, asks for no password and takes any. */
function withPassword(url: string, password: string): string {
  return /\/\/[^/?]*@/.test(url) ? url.replace(/\/\/([^:@/]*)(:[^@/]*)?@/, `//$1:${password}@`) : url
}

function headersOf({ headers }: RequestInit): Record<string, string> {
  return Object.fromEntries(new Headers(headers))
}
