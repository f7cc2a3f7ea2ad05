/** One span of an exchange, and one of each attempt, made when the exchange has ended. */
import { redactUrl, type Exchange, type Judgement, type Result, type Upstream } from 'postern/plugin'
import type { Provider, Usage } from 'postern/provider'
import type { Answer } from './answer.ts'
import { attributesOf, nanosOf, spanKind, statusError, type Attributes, type Span } from './otlp.ts'
import { methodOf, operationOf, providerOf } from './semantics.ts'
import type { TraceContext } from './trace-context.ts'

/** What is noted of an upstream that was asked. Times are of `performance.now()`. */
export interface Asked {
  readonly spanId: string
  readonly attempt: number
  readonly upstream: Upstream
  /** When it was sent, and when it was known what came of it. */
  readonly sentAt: number
  readonly toldAt: number
  /** Null where no answer came. */
  readonly status: number | null
  /** The code of the network error. */
  readonly error: string | null
  readonly judgement: Judgement
  /** What the upstream calls the request. */
  readonly requestId: string | null
}

export type Ended = Exchange<'provider' | 'claim' | 'model' | 'stream' | 'usage', 'otel'>

/** What is noted of a result. */
export function askedOf(
  spanId: string,
  { attempt }: Pick<Exchange, 'attempt'>,
  upstream: Upstream,
  result: Result,
): Asked {
  const toldAt = performance.now()
  const headers = result.kind === 'response' ? result.headers : {}
  const requestId = headers['request-id'] ?? headers['x-request-id'] ?? headers['x-goog-request-id']
  return {
    spanId,
    attempt,
    upstream,
    sentAt: toldAt - result.ms,
    toldAt,
    status: result.kind === 'response' ? result.status : null,
    error: result.kind === 'failure' ? (result.error.code ?? result.error.name) : null,
    judgement: result.judgement,
    requestId: requestId === undefined ? null : String(requestId),
  }
}

/** Whether the attempt's answer is what the client was given, to its end. */
export function isServing({ status }: Asked): boolean {
  return status !== null && status < 400
}

/** All spans of an exchange that has ended: its own first. */
export function spansOf(
  exchange: Ended,
  context: TraceContext,
  asked: readonly Asked[],
  answer: Answer | null,
): Span[] {
  const endedAt = performance.now()
  const since = Date.now() - endedAt
  const at = (mark: number) => nanosOf(since + mark)
  return [
    {
      ...identityOf(context, context.spanId, context.parentId),
      name: nameOf(methodOf(exchange.method), exchange.facts.claim?.operation),
      kind: spanKind.server,
      startTimeUnixNano: at(exchange.startedAt),
      endTimeUnixNano: at(endedAt),
      attributes: attributesOf(exchangeAttributes(exchange)),
      ...(context.link ? { links: [linkTo(context.link)] } : {}),
      status: hasFailed(exchange) ? { code: statusError } : {},
    },
    ...asked.map((one, index): Span => {
      const isServed = index === asked.length - 1 && isServing(one)
      const error = errorOf(one, isServed ? exchange.error : null)
      return {
        ...identityOf(context, one.spanId, context.spanId),
        name: nameOf(operationOf(exchange.facts.claim?.operation ?? 'other'), exchange.facts.model),
        kind: spanKind.client,
        startTimeUnixNano: at(one.sentAt),
        endTimeUnixNano: at(isServed ? endedAt : one.toldAt),
        attributes: attributesOf({
          ...attemptAttributes(exchange, one),
          ...(isServed ? servedAttributes(exchange, one, answer) : {}),
          'error.type': error,
        }),
        status: error === null ? {} : { code: statusError },
      }
    }),
  ]
}

function identityOf({ traceId, state, flags }: TraceContext, spanId: string, parentId: string) {
  return {
    traceId,
    spanId,
    ...(parentId === '' ? {} : { parentSpanId: parentId }),
    ...(state === null ? {} : { traceState: state }),
    flags,
  }
}

function linkTo({ traceId, spanId, flags }: NonNullable<TraceContext['link']>): object {
  return { traceId, spanId, flags }
}

/** A method or an operation, and what it is done with. Names from outside are cut: those of spans are meant to be few. */
function nameOf(verb: string, subject: string | null | undefined): string {
  return subject ? `${verb} ${subject.slice(0, 100)}` : verb
}

function hasFailed({ status, error }: Ended): boolean {
  return status >= 500 || (error !== null && error.name !== 'ClientGone')
}

function exchangeAttributes(exchange: Ended): Attributes {
  const { facts, status, error, passedOver } = exchange
  const agent = exchange.headers['user-agent']
  return {
    'http.request.method': methodOf(exchange.method),
    'url.path': redactUrl(exchange.path),
    'http.response.status_code': status === 0 ? null : status,
    'client.address': exchange.client,
    'user_agent.original': agent === undefined ? null : String(agent),
    'error.type': status >= 500 ? String(status) : error ? codeOf(error) : null,
    'gen_ai.request.model': facts.model,
    'postern.exchange.id': exchange.id,
    'postern.exchange.kind': exchange.kind,
    'postern.provider': facts.provider?.name,
    'postern.operation': facts.claim?.operation,
    'postern.attempts': exchange.attempt,
    'postern.passed_over':
      passedOver.length > 0
        ? passedOver.slice(0, 16).map(({ upstream, reason }) => `${upstream.name} ${reason}`)
        : null,
  }
}

function attemptAttributes({ facts, method }: Ended, asked: Asked): Attributes {
  const { upstream, judgement, status } = asked
  return {
    'gen_ai.operation.name': operationOf(facts.claim?.operation ?? 'other'),
    'gen_ai.provider.name': providerOf(upstream.provider),
    'gen_ai.request.model': facts.model,
    'gen_ai.request.stream': facts.stream === true ? true : null,
    ...serverOf(upstream, facts.provider),
    'http.request.method': methodOf(method),
    'http.response.status_code': status,
    'http.request.resend_count': asked.attempt > 1 ? asked.attempt - 1 : null,
    'postern.upstream': upstream.name,
    'postern.attempt': asked.attempt,
    'postern.judgement': typeof judgement === 'string' ? judgement : 'rest',
    'postern.rest_s': typeof judgement === 'string' ? null : judgement.rest,
    'postern.rest_scope': typeof judgement === 'string' ? null : judgement.scope,
    'postern.upstream.request_id': asked.requestId,
  }
}

/** What only the answer that was passed on can say. */
function servedAttributes({ facts, kind }: Ended, asked: Asked, answer: Answer | null): Attributes {
  const reasons = answer?.finishReasons ?? []
  return {
    'gen_ai.response.model': answer?.model,
    'gen_ai.response.id': answer?.id,
    'gen_ai.response.finish_reasons': reasons.length > 0 ? reasons : null,
    'gen_ai.response.time_to_first_chunk':
      facts.stream === true && kind !== 'session' ? { double: (asked.toldAt - asked.sentAt) / 1000 } : null,
    ...usageAttributes(facts.usage),
  }
}

/** There `input_tokens` counts all of the input; here what came from the cache is counted apart. */
function usageAttributes(usage: Usage | null): Attributes {
  if (usage === null || usage.input + usage.output + usage.cacheRead + usage.cacheWrite === 0) return {}
  return {
    'gen_ai.usage.input_tokens': usage.input + usage.cacheRead + usage.cacheWrite,
    'gen_ai.usage.output_tokens': usage.output,
    'gen_ai.usage.cache_read.input_tokens': usage.cacheRead > 0 ? usage.cacheRead : null,
    'gen_ai.usage.cache_creation.input_tokens': usage.cacheWrite > 0 ? usage.cacheWrite : null,
  }
}

function serverOf(upstream: Upstream, provider: Provider | null): Attributes {
  const url = upstream.url ?? provider?.url
  if (!url) return {}
  return {
    'server.address': url.hostname,
    'server.port': Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
  }
}

/** A status, the code of an error, or null where all went well: classes, never the text. */
export function errorOf({ status, error }: Asked, broken: Error | null): string | null {
  if (error !== null) return error
  if (status !== null && status >= 400) return String(status)
  return broken && codeOf(broken)
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
