/** Decides what becomes of a request's body: held and readable, passed through, or not there. */
import type { LiveExchange } from '../exchange.ts'
import { fault, Refused } from '../errors.ts'
import type { Body } from '../plugin.ts'
import { emptyBody, JsonBody, streamedBody } from './body.ts'
import { readBody, tooLarge } from './read.ts'

/**
 * JSON is held, within `limits.body`, if a plugin wants to see bodies; everything else passes through, within
 * `limits.upload`, and so does what the path says is a file. A body that says it is JSON and is not is refused here.
 */
export function takeBody({ request, route, gateway, facts }: LiveExchange): Body | Promise<Body> {
  const { limits } = gateway.config.settings
  const {
    'content-length': length,
    'content-type': type = 'application/json',
    'content-encoding': coding,
  } = request.headers
  if (length === '0' || (length === undefined && request.headers['transfer-encoding'] === undefined)) return emptyBody
  if (!route.onBody || !type.includes('json') || coding !== undefined || facts.claim?.file === true) {
    if (Number(length ?? 0) > limits.upload) throw tooLarge(limits.upload)
    return streamedBody
  }
  const bytes = readBody(request, route.provider?.bodyLimit ?? limits.body)
  return bytes instanceof Promise ? bytes.then(jsonBody) : jsonBody(bytes)
}

function jsonBody(bytes: Buffer): Body {
  if (bytes.length === 0) return emptyBody
  const body = new JsonBody(bytes)
  if (!body.isObject) throw new Refused(fault('INVALID_JSON', 'it is not one whole JSON object'))
  return body
}
