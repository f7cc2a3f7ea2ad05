/**
 * The dashboard and the alerts before a real Prometheus: it reads a gateway that is at work, and answers every query of every panel.
 * Run with `node test/run.ts test/slow/prometheus.slow.ts`; Debian's package is `prometheus`. About half a minute.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { operator, secret } from '../../core/commands/admin.fixture.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import { freshRedis, until } from '../redis.ts'
import { freePort } from '../redis-server.ts'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))
const isThere = (program: string) => {
  try {
    return execFileSync(program, ['--version'], { stdio: 'ignore' }) !== undefined
  } catch {
    return false
  }
}
const skip = ['prometheus', 'promtool'].every(isThere)
  ? false
  : 'there is no Prometheus here: install it, or put it on PATH'

describe('Prometheus', { skip }, () => {
  test('takes the alerts as they are, and each speaks when it should and is silent when it should not', async () => {
    const ask = (...words: string[]) => promisify(execFile)('promtool', words, { cwd: join(docs, 'prometheus') })
    await ask('check', 'rules', 'alerts.yaml')
    await ask('test', 'rules', 'alerts.test.yaml')
  })

  test('reads every metric, and has an answer for every query of the dashboard', async () => {
    await using it = await operator()
    await using redis = await freshRedis()
    await using collector = await fakeUpstream(json(200, {}))
    await using well = await fakeUpstream(json(200, answer))
    await using ill = await fakeUpstream(json(503, { error: { message: 'not now' } }))
    await it.json('users', 'add', 'ann@example.com', '--balance', '100')
    const { key } = await it.json('keys', 'add', 'ann@example.com', '--name', 'ann')
    const upstream = { provider: 'openai', key: 'k', slots: 2 }
    await using gw = await gateway({
      store: redis.url,
      database: it.url,
      plugins: [
        'api-key-auth',
        'openai',
        'sticky-session',
        'concurrency',
        'failover',
        { usage: { journal: '' } },
        { 'ops-capture': { file: join(it.folder, 'errors.jsonl') } },
        { otel: { endpoint: collector.url } },
      ],
      env: { ACCOUNTS_SECRET: secret },
      upstreams: [
        { ...upstream, name: 'well', url: well.url, priority: 1 },
        { ...upstream, name: 'ill', url: ill.url, priority: 0 },
        { ...upstream, name: 'alone', url: ill.url, models: ['ill'] },
      ],
    })
    await using prometheus = await startPrometheus(gw)
    const work = new AbortController()
    const working = Promise.all([0, 1, 2, 3].map(() => workAt(gw, String(key), work.signal)))
    try {
      await until(async () => (await prometheus.query('count(up == 1)')).length === 1)
      // Rates need two looks a minute apart at most; a look is a second here.
      const without = async () => {
        const asked = await Promise.all(
          queries().map(async (query) => [query, await prometheus.query(query.expr)] as const),
        )
        return asked.filter(([, found]) => found.length === 0).map(([{ panel, expr }]) => `${panel}: ${expr}`)
      }
      let missing = await without()
      for (const deadline = Date.now() + 40_000; missing.length > 0 && Date.now() < deadline; missing = await without())
        await sleep(500)
      assert.deepEqual(missing, [])
      const { alerts } = await prometheus.get<{ alerts: { state: string; labels: { alertname: string } }[] }>('alerts')
      const firing = alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname)
      assert.deepEqual(firing, [])
      const { activeTargets } = await prometheus.get<{ activeTargets: { lastError: string }[] }>('targets')
      assert.deepEqual(
        activeTargets.map(({ lastError }) => lastError),
        [''],
      )
    } finally {
      work.abort()
      await working
    }
  })
})

const answer = {
  id: 'chatcmpl-0123456789abcdef',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1000, completion_tokens: 100 },
}

/** What the panels ask, with the dashboard's variables filled in as Grafana does. */
function queries(): { panel: string; expr: string }[] {
  const { panels } = JSON.parse(readFileSync(join(docs, 'grafana/postern.json'), 'utf8')) as {
    panels: { title: string; targets?: { expr: string }[] }[] // our own file
  }
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      expr: expr.replaceAll('$__rate_interval', '20s').replaceAll('$instance', '.*'),
    })),
  )
}

/** Asks until it is told to stop: what is served, what another upstream has to serve, and what nobody can. */
async function workAt({ url }: TestGateway, key: string, signal: AbortSignal): Promise<void> {
  for (let at = 0; !signal.aborted; at++) {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'x-session-id': `s${at % 3}` },
      body: JSON.stringify({
        model: at % 5 === 0 ? 'ill' : 'gpt-4o-mini',
        user: `u${at % 3}`,
        max_tokens: 100,
        messages: [{ role: 'user', content: `turn ${at % 3}` }],
      }),
    })
    await answer.arrayBuffer()
    await sleep(20)
  }
}

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

/** One that looks once a second, with the alerts as they are shipped. */
async function startPrometheus(gw: TestGateway) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-prometheus-'))
  const port = await freePort()
  const file = join(folder, 'prometheus.yaml')
  const target = new URL(gw.adminUrl).host
  await writeFile(
    file,
    stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [join(docs, 'prometheus/alerts.yaml')],
      scrape_configs: [{ job_name: 'postern', static_configs: [{ targets: [target] }] }],
    }),
  )
  const child = spawn(
    'prometheus',
    [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`],
    { stdio: 'ignore' },
  )
  const ended = once(child, 'exit')
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`, { headers: { connection: 'close' } })
    const { status, error, data } = (await response.json()) as { status: string; error?: string; data: T } // its documented envelope
    assert.equal(status, 'success', `${decodeURIComponent(path)}: ${error}`)
    return data
  }
  const isReady = () =>
    fetch(`http://127.0.0.1:${port}/-/ready`, { headers: { connection: 'close' } }).then(
      ({ ok }) => ok,
      () => false,
    )
  await until(isReady)
  return {
    get,
    /** What an instant query finds; NaN, which no panel shows, is nothing. */
    async query(expr: string): Promise<Series[]> {
      const { result } = await get<{ result: Series[] }>(`query?query=${encodeURIComponent(expr)}`)
      return result.filter(({ value: [, value] }) => value !== 'NaN')
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}
