/** A collector that reads what it is sent strictly, and answers as a test wants. */
import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import { fakeUpstream, json, type Asked, type Script } from '../../test/fake-upstream.ts'
import { readMetrics, readTraces, type ReadMetric, type ReadSpan } from './otlp.fixture.ts'

export interface TestCollector extends AsyncDisposable {
  readonly url: string
  readonly asked: readonly Asked[]
  /** The spans that it took, in the order in which they came. */
  readonly spans: readonly ReadSpan[]
  /** What the resource of the latest request says. */
  readonly resource: Readonly<Record<string, unknown>>
  /** The metrics of the latest telling. */
  readonly metrics: ReadonlyMap<string, ReadMetric>
  /** How it answers from now on. */
  script: Script
}

export const takes: Script = json(200, {})

export async function collector(script: Script = takes): Promise<TestCollector> {
  const spans: ReadSpan[] = []
  const metrics = new Map<string, ReadMetric>()
  let resource: TestCollector['resource'] = {}
  const it = {
    script,
    spans,
    metrics,
    get resource() {
      return resource
    },
  }
  const server = await fakeUpstream(async (asked, response, request) => {
    await it.script(asked, response, request)
    if (response.statusCode !== 200) return
    assert.equal(asked.headers['content-type'], 'application/json')
    const body = asked.headers['content-encoding'] === 'gzip' ? gunzipSync(asked.body) : asked.body
    if (asked.url.endsWith('/v1/traces')) {
      const read = readTraces(body)
      resource = read.resource
      spans.push(...read.items)
    } else {
      const read = readMetrics(body)
      resource = read.resource
      metrics.clear()
      for (const metric of read.items) metrics.set(metric.name, metric)
    }
  })
  return Object.assign(it, {
    url: server.url,
    asked: server.asked,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  })
}
