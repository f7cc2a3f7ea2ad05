/**
 * OTLP as JSON: the messages of opentelemetry-proto 1.x as its JSON mapping spells them. Ids are hexadecimal, 64-bit numbers are
 * texts, enumerations are numbers, and what is empty is left out.
 */
import { redactText, type MetricReading } from 'postern/plugin'

/** A number that happens to be whole would be an integer: `double` says that it is none. */
export type AttributeValue = string | number | boolean | readonly string[] | { readonly double: number }
export type Attributes = Readonly<Record<string, AttributeValue | null | undefined>>

export interface KeyValue {
  readonly key: string
  readonly value: object
}

/** A span as it is sent. */
export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly flags: number
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly KeyValue[]
  readonly links?: readonly object[]
  readonly status: { readonly code?: number }
}

export const spanKind = { server: 2, client: 3 } as const
export const statusError = 2

/** Characters of a text in an attribute. */
const longestText = 512

/**
 * Attributes as they are sent: what is null is left out, texts are redacted and cut, but for those that are this gateway's own words.
 * Redacting all of them took two thirds of the time that an exchange's spans take (otel.bench.ts).
 */
export function attributesOf(attributes: Attributes): KeyValue[] {
  const sent: KeyValue[] = []
  for (const key in attributes) {
    const value = attributes[key]
    if (value !== null && value !== undefined) sent.push({ key, value: valueOf(value, ownWords.has(key)) })
  }
  return sent
}

/** Their values come from gateway.yaml's names, from tables of the code, or from the socket: nothing that a client or an upstream wrote. */
const ownWords: ReadonlySet<string> = new Set([
  'client.address',
  'gen_ai.operation.name',
  'gen_ai.provider.name',
  'http.request.method',
  'postern.exchange.kind',
  'postern.judgement',
  'postern.operation',
  'postern.provider',
  'postern.rest_scope',
  'postern.upstream',
  'server.address',
  // A path that has passed the redactor for URLs.
  'url.path',
])

function valueOf(value: AttributeValue, isOwn: boolean): object {
  if (typeof value === 'string') return { stringValue: textOf(value, isOwn) }
  if (typeof value === 'boolean') return { boolValue: value }
  if (isList(value)) return { arrayValue: { values: value.map((one) => ({ stringValue: textOf(one, isOwn) })) } }
  if (typeof value === 'object') return { doubleValue: value.double }
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}

function isList(value: AttributeValue): value is readonly string[] {
  return Array.isArray(value)
}

function textOf(value: string, isOwn: boolean): string {
  const text = isOwn ? value : redactText(value.toWellFormed())
  return text.length > longestText ? `${text.slice(0, longestText)}…` : text
}

/** Milliseconds since 1970 as nanoseconds: more than a number can hold, so the last three digits are written behind. */
export function nanosOf(ms: number): string {
  return `${Math.round(ms * 1000)}000`
}

export type Resource = Readonly<Record<string, string>>

const scope = { name: 'postern' }

/** The body of a POST to /v1/traces. */
export function tracesRequest(resource: Resource, spans: readonly Span[]): string {
  return JSON.stringify({
    resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans: [{ scope, spans }] }],
  })
}

/** The body of a POST to /v1/metrics: sums since the start of the process. */
export function metricsRequest(
  resource: Resource,
  readings: readonly MetricReading[],
  { startedAt, now }: { readonly startedAt: number; readonly now: number },
): string {
  const times = { startTimeUnixNano: nanosOf(startedAt), timeUnixNano: nanosOf(now) }
  const metrics = readings.filter(({ samples }) => samples.length > 0).map((reading) => metricOf(reading, times))
  return JSON.stringify({
    resourceMetrics: [{ resource: { attributes: attributesOf(resource) }, scopeMetrics: [{ scope, metrics }] }],
  })
}

interface Times {
  readonly startTimeUnixNano: string
  readonly timeUnixNano: string
}

const cumulative = 2

function metricOf(reading: MetricReading, times: Times): object {
  const { name, unit, label } = conventional[reading.name] ?? plain(reading.name)
  const points = reading.samples.map(({ labels, value, buckets }) => {
    const attributes = attributesOf(
      Object.fromEntries(Object.entries(labels).flatMap(([key, told]) => (told === '' ? [] : [[label(key), told]]))),
    )
    if (buckets === null) return { attributes, ...times, asDouble: numberOf(value) }
    const count = buckets.counts.reduce((sum, one) => sum + one, 0)
    return {
      attributes,
      ...times,
      count: String(count),
      sum: numberOf(value),
      bucketCounts: buckets.counts.map(String),
      explicitBounds: buckets.bounds,
    }
  })
  const described = { name, description: reading.help, unit }
  if (reading.kind === 'histogram')
    return { ...described, histogram: { aggregationTemporality: cumulative, dataPoints: points } }
  if (reading.kind === 'counter')
    return { ...described, sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints: points } }
  return { ...described, gauge: { dataPoints: points } }
}

/** JSON has no numbers that are none: the mapping spells them as texts. */
function numberOf(value: number): number | string {
  if (Number.isNaN(value)) return 'NaN'
  return Number.isFinite(value) ? value : value > 0 ? 'Infinity' : '-Infinity'
}

interface Naming {
  readonly name: string
  readonly unit: string
  readonly label: (label: string) => string
}

function plain(name: string): Naming {
  const unit = /_seconds(?:_total)?$/.test(name) ? 's' : /_bytes(?:_total)?$/.test(name) ? 'By' : '1'
  return { name, unit, label: (label) => label }
}

/** `gen_ai_request_model` is `gen_ai.request.model` there. */
const labels: Readonly<Record<string, string>> = {
  provider: 'gen_ai.provider.name',
  operation: 'gen_ai.operation.name',
  model: 'gen_ai.request.model',
  kind: 'gen_ai.token.type',
  error: 'error.type',
}
const genAi = (name: string, unit: string): Naming => ({ name, unit, label: (label) => labels[label] ?? label })

/** Metrics of this plugin that the conventions have a name for. */
const conventional: Readonly<Record<string, Naming>> = {
  postern_gen_ai_operation_seconds: genAi('gen_ai.client.operation.duration', 's'),
  postern_gen_ai_first_chunk_seconds: genAi('gen_ai.client.operation.time_to_first_chunk', 's'),
  postern_gen_ai_tokens: genAi('gen_ai.client.token.usage', '{token}'),
}
