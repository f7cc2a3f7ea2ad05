/** Headers by what they are for. Lower case; `*` at the end of a name matches any rest. */

/** Without these the bytes that follow cannot be read, and the bytes are passed on as they are: they always stay. */
export const bodyHeaders = ['content-type', 'content-encoding', 'content-length', 'content-range'] as const

/**
 * What pass by default. Missing on purpose is what an upstream says to browsers for its own origin (Set-Cookie, CORS, HSTS,
 * CSP, Alt-Svc, Report-To): through the gateway it would hold for the gateway's. So is Date: the gateway sets its own.
 */
export const sdkHeaders = [
  'accept-ranges',
  'cache-control',
  'content-disposition',
  'content-language',
  'etag',
  'expires',
  'last-modified',
  'location',
  'vary',
  'www-authenticate',
  // Proxies in front of the gateway read it: a stream is not to be held back.
  'x-accel-buffering',
  // When to ask again, and whether: the SDKs of OpenAI and Anthropic follow these.
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'x-ratelimit-*',
  'anthropic-ratelimit-*',
  // What support asks for.
  'request-id',
  'x-request-id',
  'anthropic-organization-id',
  'anthropic-workspace-id',
  'openai-*',
  // Uploading a file to Gemini goes on where these say.
  'x-goog-upload-*',
] as const
