/** OTLP's JSON read as strictly as opentelemetry-proto describes it: an unknown field, or one of the wrong kind, fails the test. */
import assert from 'node:assert/strict'

type Check = (value: unknown, at: string) => unknown
type Fields = Readonly<Record<string, Check>>

const text: Check = (value, at) => {
  assert.equal(typeof value, 'string', `${at} is a text`)
  return value
}
const flag: Check = (value, at) => {
  assert.equal(typeof value, 'boolean', at)
  return value
}
/** 64 bits: a decimal text. */
const long: Check = (value, at) => {
  assert.match(String(text(value, at)), /^-?(0|[1-9]\d*)$/, at)
  return Number(value)
}
const small: Check = (value, at) => {
  assert.ok(Number.isInteger(value), `${at} is a whole number`)
  return value
}
const double: Check = (value, at) => {
  assert.ok(typeof value === 'number' || /^(NaN|-?Infinity)$/.test(String(value)), `${at} is a number`)
  return Number(value)
}
const id =
  (bytes: number): Check =>
  (value, at) => {
    assert.match(String(value), new RegExp(`^(?!0+$)[0-9a-f]{${bytes * 2}}$`), at)
    return value
  }
const list =
  (check: Check): Check =>
  (value, at) => {
    assert.ok(Array.isArray(value), `${at} is a list`)
    return value.map((one: unknown, index) => check(one, `${at}[${index}]`))
  }
const message =
  (fields: Fields, ...required: readonly string[]): Check =>
  (value, at) => {
    assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value), `${at} is a message`)
    for (const name of required) assert.ok(name in value, `${at}.${name} is missing`)
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        const check = fields[name]
        assert.ok(check, `${at}.${name} is no field`)
        return [name, check(inner, `${at}.${name}`)]
      }),
    )
  }

/** One of its members: what it says, as a value of JavaScript. */
const anyValue: Check = (value, at) => {
  const read = message({
    stringValue: text,
    boolValue: flag,
    intValue: long,
    doubleValue: double,
    arrayValue: message({ values: list((one, inner) => anyValue(one, inner)) }),
  })(value, at) as Readonly<Record<string, unknown>> // a message
  const members = Object.values(read)
  assert.equal(members.length, 1, `${at} has one member`)
  const [only] = members
  return typeof only === 'object' && only !== null && 'values' in only ? only.values : only
}

const attributes: Check = (value, at) => {
  const pairs = list(message({ key: text, value: anyValue }, 'key', 'value'))(value, at) as {
    key: string
    value: unknown
  }[] // as checked
  assert.equal(new Set(pairs.map(({ key }) => key)).size, pairs.length, `${at} has a key twice`)
  return Object.fromEntries(pairs.map(({ key, value: inner }) => [key, inner]))
}
const resource = message({ attributes }, 'attributes')
const scope = message({ name: text, version: text }, 'name')

const span = message(
  {
    traceId: id(16),
    spanId: id(8),
    parentSpanId: id(8),
    traceState: text,
    flags: small,
    name: text,
    kind: small,
    startTimeUnixNano: long,
    endTimeUnixNano: long,
    attributes,
    links: list(message({ traceId: id(16), spanId: id(8), flags: small }, 'traceId', 'spanId')),
    status: message({ code: small, message: text }),
  },
  'traceId',
  'spanId',
  'name',
  'kind',
  'startTimeUnixNano',
  'endTimeUnixNano',
)
const times = { startTimeUnixNano: long, timeUnixNano: long }
const numbers = list(message({ attributes, ...times, asDouble: double }, 'timeUnixNano', 'asDouble'))
const histograms = list(
  message(
    { attributes, ...times, count: long, sum: double, bucketCounts: list(long), explicitBounds: list(double) },
    'count',
    'bucketCounts',
  ),
)
const metric = message(
  {
    name: text,
    description: text,
    unit: text,
    gauge: message({ dataPoints: numbers }, 'dataPoints'),
    sum: message({ dataPoints: numbers, aggregationTemporality: small, isMonotonic: flag }, 'aggregationTemporality'),
    histogram: message({ dataPoints: histograms, aggregationTemporality: small }, 'aggregationTemporality'),
  },
  'name',
)

/** A span as it was sent, its attributes as an object. */
export interface ReadSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly flags: number
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: number
  readonly endTimeUnixNano: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links?: readonly { readonly traceId: string }[]
  readonly status: { readonly code?: number }
}

export interface ReadPoint {
  readonly attributes: Readonly<Record<string, unknown>>
  readonly asDouble?: number
  readonly count?: number
  readonly sum?: number
  readonly bucketCounts?: readonly number[]
  readonly explicitBounds?: readonly number[]
}

export interface ReadMetric {
  readonly name: string
  readonly unit: string
  readonly gauge?: { readonly dataPoints: readonly ReadPoint[] }
  readonly sum?: { readonly dataPoints: readonly ReadPoint[]; readonly isMonotonic?: boolean }
  readonly histogram?: { readonly dataPoints: readonly ReadPoint[] }
}

export interface Read<T> {
  readonly resource: Readonly<Record<string, unknown>>
  readonly items: readonly T[]
}

/** The spans of a POST to /v1/traces. */
export function readTraces(body: Buffer): Read<ReadSpan> {
  const scoped = list(message({ scope, spans: list(span) }, 'scope', 'spans'))
  const whole = message({ resourceSpans: list(message({ resource, scopeSpans: scoped })) }, 'resourceSpans')
  const read = whole(JSON.parse(body.toString()), 'request') as {
    // as checked
    resourceSpans: { resource: { attributes: Record<string, unknown> }; scopeSpans: { spans: ReadSpan[] }[] }[]
  }
  return {
    resource: read.resourceSpans[0]!.resource.attributes,
    items: read.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
  }
}

/** The metrics of a POST to /v1/metrics. */
export function readMetrics(body: Buffer): Read<ReadMetric> {
  const scoped = list(message({ scope, metrics: list(metric) }, 'scope', 'metrics'))
  const whole = message({ resourceMetrics: list(message({ resource, scopeMetrics: scoped })) }, 'resourceMetrics')
  const read = whole(JSON.parse(body.toString()), 'request') as {
    // as checked
    resourceMetrics: { resource: { attributes: Record<string, unknown> }; scopeMetrics: { metrics: ReadMetric[] }[] }[]
  }
  const items = read.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  for (const { name, histogram } of items)
    for (const { count, bucketCounts = [], explicitBounds = [] } of histogram?.dataPoints ?? []) {
      assert.equal(bucketCounts.length, explicitBounds.length + 1, name)
      assert.equal(
        bucketCounts.reduce((sum, one) => sum + one, 0),
        count,
        name,
      )
    }
  return { resource: read.resourceMetrics[0]!.resource.attributes, items }
}
