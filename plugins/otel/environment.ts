/** Where telemetry goes: the options, and where they are absent, what the environment says in OpenTelemetry's own names. */
import { Secret } from 'postern/plugin'

// An import by name would load Node's fetch as well: 10 MiB.
const { validateHeaderName, validateHeaderValue } = process.getBuiltinModule('node:http')

/** As much of the options as the environment may complete. */
export interface Wanted {
  readonly endpoint?: string
  readonly headers: Readonly<Record<string, Secret>>
  readonly service_name?: string
  readonly resource: Readonly<Record<string, string>>
}

export interface Destination {
  readonly traces: URL
  readonly metrics: URL
  readonly headers: Readonly<Record<string, Secret>>
  /** What the process is, for all that it sends. */
  readonly resource: Readonly<Record<string, string>>
  /** OTEL_SDK_DISABLED: the trace is passed on, and nothing is sent. */
  readonly isDisabled: boolean
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Where a collector listens if nobody says otherwise. `localhost` may be `::1`, where most of them do not. */
const nearby = 'http://127.0.0.1:4318'

/** Throws an Error that names the option or the variable, never its value, where one cannot be used. */
export function destinationOf(wanted: Wanted, env: Environment): Destination {
  const said = (name: string) => env[name]?.trim() || undefined
  const protocol = said('OTEL_EXPORTER_OTLP_PROTOCOL')
  if (wanted.endpoint === undefined && protocol === 'grpc')
    throw new Error('OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and HTTP is spoken here: set endpoint to the port for HTTP')
  const base = wanted.endpoint ?? said('OTEL_EXPORTER_OTLP_ENDPOINT') ?? nearby
  const source = wanted.endpoint === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'endpoint'
  // The variables of one signal are whole addresses; they complete what the option does not say.
  const own = (signal: string) =>
    wanted.endpoint === undefined ? said(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) : undefined
  const at = (signal: 'traces' | 'metrics') => {
    const whole = own(signal.toUpperCase())
    if (whole !== undefined) return address(whole, `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`)
    return address(`${base.replace(/\/+$/, '')}/v1/${signal}`, source)
  }
  const headers = { ...secretsOf(pairsOf(said('OTEL_EXPORTER_OTLP_HEADERS'))), ...wanted.headers }
  checkHeaders(headers)
  const service = wanted.service_name ?? said('OTEL_SERVICE_NAME')
  return {
    traces: at('traces'),
    metrics: at('metrics'),
    headers,
    resource: {
      'service.name': 'postern',
      ...pairsOf(said('OTEL_RESOURCE_ATTRIBUTES')),
      ...wanted.resource,
      ...(service === undefined ? {} : { 'service.name': service }),
    },
    isDisabled: said('OTEL_SDK_DISABLED')?.toLowerCase() === 'true',
  }
}

function address(text: string, source: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error(`${source} is no http:// or https:// address`)
  if (url.username !== '' || url.password !== '')
    throw new Error(`${source} has a user or a password in it: put what the collector wants into headers`)
  return url
}

/** `name=value,name=value`, values percent-encoded, as W3C baggage is written. What is none of that is left out. */
function pairsOf(text = ''): Record<string, string> {
  return Object.fromEntries(
    text.split(',').flatMap((pair) => {
      const at = pair.indexOf('=')
      const name = pair.slice(0, at).trim()
      return at < 1 || name === '' ? [] : [[name, decoded(pair.slice(at + 1).trim())] as const]
    }),
  )
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

function secretsOf(pairs: Readonly<Record<string, string>>): Record<string, Secret> {
  return Object.fromEntries(Object.entries(pairs).map(([name, value]) => [name.toLowerCase(), new Secret(value)]))
}

function checkHeaders(headers: Readonly<Record<string, Secret>>): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value.reveal())
    } catch {
      throw new Error(
        `the header ${JSON.stringify(name.slice(0, 64))} cannot be sent: look for a line feed or a space in it`,
      )
    }
  }
}
