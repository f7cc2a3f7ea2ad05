/** The errors of this API: their types by status, and the statuses of those that are told inside a stream. */

/** The name an SDK knows it by. */
export function errorTypeOf(status: number): string {
  return errorTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error')
}

/** By its code or type; over WebSocket an error says its status itself. */
export function failure(error: unknown, told?: unknown): { status: number } {
  if (typeof told === 'number' && Number.isInteger(told) && told >= 400 && told < 600) return { status: told }
  const { code, type } = (error ?? {}) as { code?: unknown; type?: unknown } // any of it may be missing
  return { status: statuses[String(code)] ?? statuses[String(type)] ?? 500 }
}

/** The names OpenAI's SDKs know, by status; an unreachable upstream is told as such. */
const errorTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  502: 'upstream_error',
  504: 'upstream_error',
}

/** The statuses of errors that are told inside a 200, by their codes and types. */
const statuses: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  invalid_prompt: 400,
  previous_response_not_found: 400,
  authentication_error: 401,
  invalid_api_key: 401,
  insufficient_quota: 429,
  permission_error: 403,
  not_found_error: 404,
  model_not_found: 404,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  requests: 429,
  tokens: 429,
  overloaded_error: 503,
  server_is_overloaded: 503,
  slow_down: 503,
}
