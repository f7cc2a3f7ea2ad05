/** Media under paths of the gateway's own: with a key like everything else, or without one under a signed URL. */
import { refuse, type Exchange, type Hooks, type Refusal } from 'postern/plugin'
import { claimOf } from './claims.ts'
import type { Signer } from './sign.ts'

type MediaHooks = Required<Pick<Hooks, 'onRequest' | 'onUpstreamRequest' | 'onResponse'>>

/** The hooks of `media` and `media_signed`; they leave every other operation alone. Without a signer no signature counts. */
export function mediaHooks(signer: Signer | null): MediaHooks {
  return {
    onRequest(exchange) {
      const { operation } = claimOf(exchange)
      if (operation === 'media') return refusalOf(exchange, plain) ?? undefined
      if (operation === 'media_signed') return refusalOf(exchange, signed) ?? refuseUnsigned(exchange, signer)
    },
    onUpstreamRequest(exchange, outgoing) {
      if (!isMedia(exchange)) return
      const variant = variantOf(new URLSearchParams(outgoing.query))
      // Neither the signature nor what a browser adds by itself is the upstream's to know.
      outgoing.query = variant === defaultVariant ? '' : `?variant=${variant}`
      for (const name of browserHeaders) outgoing.headers[name] = undefined
    },
    onResponse(exchange, head) {
      if (!isMedia(exchange)) return
      // A cookie of the upstream's would be set for the gateway's own site.
      head.headers['set-cookie'] = undefined
      if (claimOf(exchange).operation !== 'media_signed' || head.status >= 400) return
      const left = Number(new URLSearchParams(exchange.query).get('expires')) - Math.floor(Date.now() / 1000)
      // No shared cache may answer longer than the URL is good for.
      head.headers['cache-control'] ??= `private, max-age=${Math.max(0, left)}`
    },
  }
}

/** What OpenAI renders of a video. */
const variants: ReadonlySet<string> = new Set(['video', 'thumbnail', 'spritesheet'])
export const defaultVariant = 'video'

const plain: ReadonlySet<string> = new Set(['variant'])
const signed: ReadonlySet<string> = new Set(['variant', 'expires', 'signature'])

/** What these URLs can need is below 120 characters. */
const longestQuery = 512

const browserHeaders = ['cookie', 'referer', 'origin'] as const

function isMedia(exchange: Exchange): boolean {
  const { operation } = claimOf(exchange)
  return operation === 'media' || operation === 'media_signed'
}

function variantOf(parameters: URLSearchParams): string {
  return parameters.get('variant') ?? defaultVariant
}

/** Why the request cannot be one for media, null where it can. */
function refusalOf({ method, query }: Exchange, known: ReadonlySet<string>): Refusal | null {
  if (method !== 'GET' && method !== 'HEAD') {
    return refuse(405, 'METHOD_REFUSED', 'Media can be read with GET and HEAD', { allow: 'GET, HEAD' })
  }
  if (query.length > longestQuery) return refuse(414, 'URL_TOO_LONG', 'The query is longer than any media URL needs')
  const parameters = new URLSearchParams(query)
  const seen = new Set<string>()
  for (const name of parameters.keys()) {
    if (!known.has(name)) return refuse(400, 'UNKNOWN_PARAMETER', `Media URLs know no parameters but ${listed(known)}`)
    if (seen.has(name)) return refuse(400, 'DUPLICATE_PARAMETER', `The parameter ${name} is there more than once`)
    seen.add(name)
  }
  if (variants.has(variantOf(parameters))) return null
  return refuse(400, 'UNKNOWN_VARIANT', `The variant must be one of ${listed(variants)}`)
}

/** Why a signed URL does not open anything, undefined where it does. */
function refuseUnsigned(exchange: Exchange, signer: Signer | null): Refusal | undefined {
  if (!signer) return refuse(403, 'MEDIA_NOT_SIGNED', 'This gateway has no key for signed media URLs')
  const parameters = new URLSearchParams(exchange.query)
  const expires = parameters.get('expires')
  const signature = parameters.get('signature')
  if (expires === null || signature === null) {
    return refuse(400, 'MISSING_PARAMETER', 'A signed media URL needs expires and signature')
  }
  if (!/^\d{1,12}$/.test(expires)) {
    return refuse(400, 'INVALID_EXPIRES', 'The parameter expires must be a time in seconds since 1970')
  }
  const video = claimOf(exchange).video ?? ''
  // Only who has a real signature is told that its time is over.
  if (!signer.isSigned({ video, variant: variantOf(parameters), expires }, signature)) {
    return refuse(403, 'MEDIA_SIGNATURE_INVALID', 'The signature of this media URL is not valid')
  }
  if (Number(expires) * 1000 > Date.now()) return undefined
  return refuse(403, 'MEDIA_URL_EXPIRED', 'This media URL has expired; ask for the video again to get a new one')
}

function listed(names: ReadonlySet<string>): string {
  return [...names].join(', ')
}
