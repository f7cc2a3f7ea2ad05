/** Metrics, and whoever reads them: what is registered is documented and bounded, and panels and alerts ask for nothing else. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { declaredMetrics } from './declared-metrics.ts'
import { fakeUpstream, json } from './fake-upstream.ts'
import { gateway } from './harness.ts'
import { migratedDatabase } from './postgres.ts'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const declared = new Map((await declaredMetrics()).map((metric) => [metric.name, metric]))

/** Every label that there may be, and why it has a bound. Another one has to be argued here first. */
const bounded: Readonly<Record<string, string>> = {
  provider: 'names of mounts',
  operation: 'words of the dialects',
  upstream: 'names of gateway.yaml, or of accounts; further ones are `other`',
  of: 'names of upstreams, and `callers`; for pressure three limits',
  model: 'only where an upstream has answered for it; further ones are `other`',
  status: 'classes of status',
  outcome: 'words of the code',
  kind: 'words of the code, kinds of handles and of memory',
  error: 'statuses and codes of errors',
  event: 'words of the code',
  phase: 'words of the code',
  severity: 'words of the code',
  why: 'words of the code',
  from: 'words of the code',
  priced: 'yes and no',
  quantile: 'four of them',
  mode: 'user and system',
  priority: 'three of them',
  direction: 'in and out',
  state: 'words of the code',
  cause: 'three of them',
  version: 'one',
  node: 'one',
}

describe('metrics', () => {
  test('have labels that are known to have a bound', () => {
    for (const { name, labels } of declared.values())
      for (const label of labels)
        assert.ok(bounded[label], `${name} has the label ${label}: say here why it is bounded`)
  })

  test('that the code registers are all found by the generator of docs/metrics.md', () => {
    for (const path of globSync(['core/**/*.ts', 'plugins/**/*.ts'], { cwd: new URL('..', import.meta.url) })) {
      if (/\.(test|bench|fixture)\.ts$/.test(path)) continue
      for (const [, name = ''] of read(path).matchAll(/\.(?:counter|gauge|histogram)\(\s*'([a-z_]+)'/g))
        assert.ok(declared.has(name), `${path} registers ${name}: a plugin does that in its metrics.ts`)
    }
  })

  test('of a gateway that has served and failed are the documented ones, and stay so few', async () => {
    await using database = await migratedDatabase()
    const answer = { model: 'good', usage: { prompt_tokens: 1, completion_tokens: 1 } }
    await using upstream = await fakeUpstream((asked, response, request) => {
      const isGood = asked.body.includes('good')
      return json(isGood ? 200 : 500, isGood ? answer : { error: { message: 'broken' } })(asked, response, request)
    })
    const own = { endpoint: 'http://127.0.0.1:9', flush: '10ms' }
    await using gw = await gateway({
      database: database.url,
      keys: [{ name: 'me', key: 'a-key-for-somebody' }],
      plugins: [
        'api-key-auth',
        'openai',
        'sticky-session',
        'concurrency',
        { failover: { rests: { enabled: false }, same_upstream_delay: '1ms' } },
        { usage: { journal: '' } },
        { otel: own },
      ],
      upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, key: 'sk-up', slots: 4 }],
    })
    const ask = async (model: string, at: number) => {
      const answer = await fetch(`${gw.url}/v1/chat/completions`, {
        method: 'POST',
        headers: {
          authorization: 'Bearer a-key-for-somebody',
          'content-type': 'application/json',
          session_id: `s${at}`,
          'user-agent': `agent-${at}`,
          'x-request-id': `exchange-${at}`,
        },
        body: JSON.stringify({ model, user: `user-${at}` }),
      })
      await answer.text()
      return answer.status
    }
    assert.equal(await ask('good', 0), 200)
    assert.equal(await ask('bad', 1), 500)
    const lines = () => gw.sidecar.metrics().split('\n')
    const before = lines().length
    // Whatever clients choose to be called and to ask for, no series is added.
    for (let at = 2; at < 30; at++) await ask(`bad-${at}`, at)
    const handles = (all: readonly string[]) => all.filter((line) => line.startsWith('postern_handles')).length
    const after = lines()
    assert.ok(after.length - handles(after) <= before, `${after.length - before} lines more`)
    const told = after.flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? [])
    assert.deepEqual(
      told.filter((name) => !declared.has(name)),
      [],
    )
    assert.match(after.join('\n'), /postern_sticky_events_total\{event="sticky_reads"\} 30/)
    // What has not happened yet is told as such: Prometheus sees no increase in what begins at 1.
    assert.match(after.join('\n'), /postern_sticky_events_total\{event="fallback_hit"\} 0/)
    assert.match(after.join('\n'), /postern_otel_spans_total\{outcome="dropped"\} 0/)
    assert.match(after.join('\n'), /postern_failover_rests_total\{upstream="u",kind="refused"\} 0/)
    assert.match(after.join('\n'), /postern_failover_retries_total\{upstream="u"\} \d+/)
    assert.match(after.join('\n'), /postern_usage_rows_total\{priced="no"\} 1/)
  })
})

/** Fails where an expression asks for a metric or a label that nobody registers. */
function checkQuery(expression: string, where: string): void {
  const known = new Set<string>(['instance', 'job', 'le'])
  for (const [name] of expression.matchAll(/\bpostern_[a-z_]+/g)) {
    const metric = declared.get(name) ?? declared.get(name.replace(/_(?:bucket|sum|count)$/, ''))
    assert.ok(metric, `${where} asks for ${name}`)
    assert.equal(metric.kind === 'histogram', metric.name !== name, `${where}: ${name} is a ${metric.kind}`)
    for (const label of metric.labels) known.add(label)
    const [, matchers = ''] = new RegExp(`${name}\\{([^}]*)\\}`).exec(expression) ?? []
    for (const [, label = ''] of matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g))
      assert.ok([...metric.labels, 'instance', 'job', 'le'].includes(label), `${where}: ${name} has no label ${label}`)
  }
  for (const [, list = ''] of expression.matchAll(/\bby \(([^)]*)\)/g))
    for (const label of list.split(',').map((one) => one.trim()))
      assert.ok(known.has(label), `${where} groups by ${label}`)
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly uid: string }
  readonly targets?: readonly { readonly expr: string; readonly refId: string; readonly legendFormat: string }[]
}

describe('the dashboard', () => {
  const text = read('docs/grafana/postern.json')
  const dashboard = JSON.parse(text) as {
    // our own file
    id?: number
    uid: string
    schemaVersion: number
    templating: { list: { name: string; type: string; query: unknown }[] }
    panels: Panel[]
  }
  const panels = dashboard.panels.filter(({ type }) => type !== 'row')

  test('can be imported anywhere: it has a version, chooses its source by a variable, and names no machine', () => {
    assert.ok(dashboard.schemaVersion >= 39)
    assert.equal(dashboard.id, undefined)
    const [source] = dashboard.templating.list
    assert.deepEqual([source?.name, source?.type, source?.query], ['datasource', 'datasource', 'prometheus'])
    assert.doesNotMatch(text, /https?:\/\/|localhost|\d+\.\d+\.\d+\.\d+/)
    for (const [, uid] of text.matchAll(/"uid": "([^"]*)"/g))
      assert.match(uid!, /^(\$\{datasource\}|postern-overview)$/)
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  })

  test('says what each panel shows, and asks for nothing that is not registered', () => {
    assert.ok(panels.length >= 20)
    for (const { title, description, datasource, targets = [] } of panels) {
      assert.ok(description, title)
      assert.equal(datasource?.uid, '${datasource}', title)
      assert.ok(targets.length > 0, title)
      for (const { expr, legendFormat } of targets) {
        checkQuery(expr, title)
        const [, grouped = ''] = /\bby \(([^)]*)\)/.exec(expr) ?? []
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          assert.ok(grouped.split(/,\s*/).includes(label), `${title}: its legend names ${label}`)
      }
    }
  })
})

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly runbook: string }
}

describe('alerts', () => {
  const { groups } = parse(read('docs/prometheus/alerts.yaml')) as { groups: { name: string; rules: Rule[] }[] } // our own file
  const rules = groups.flatMap((group) => group.rules)
  const runbook = read('docs/operations.md')
  const sections = new Map(
    runbook
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
  )

  test('ask for nothing that is not registered', () => {
    assert.ok(rules.length >= 10)
    for (const { alert, expr, for: during, labels } of rules) {
      checkQuery(expr, alert)
      assert.match(during, /^\d+[sm]$/, alert)
      assert.match(labels.severity, /^(page|ticket)$/, alert)
    }
  })

  test('have a section each that says what it means, what to look at and what to do, and no section is without one', () => {
    for (const { alert, annotations } of rules) {
      const section = sections.get(alert) ?? assert.fail(`docs/operations.md has no section ${alert}`)
      for (const part of ['Means', 'Look at', 'Do'])
        assert.match(section, new RegExp(`\\*\\*${part}:\\*\\* \\S`), alert)
      assert.equal(annotations.runbook, `docs/operations.md#${alert.toLowerCase()}`)
      for (const [name] of section.matchAll(/\bpostern_[a-z_]+/g)) assert.ok(declared.has(name), `${alert}: ${name}`)
    }
    assert.deepEqual(
      [...sections.keys()],
      rules.map(({ alert }) => alert),
    )
  })
})

test('a query for what nobody registers is found', () => {
  for (const wrong of [
    'postern_nothing_total',
    'postern_exchanges_total{model="x"}',
    'sum by (model) (postern_exchanges_total)',
    'rate(postern_exchange_seconds[5m])',
    'postern_store_up_bucket',
  ])
    assert.throws(() => checkQuery(wrong, 'a panel'), assert.AssertionError, wrong)
})
