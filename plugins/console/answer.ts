/** How the console's pages answer. The listener has guarded them, and told browsers to keep nothing. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { PageHandler } from 'postern/plugin'

export function sendJson(response: ServerResponse, status: number, value: object): void {
  const text = `${JSON.stringify(value, null, 2)}\n`
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/** The longest body of an action, in bytes. */
const longestBody = 16 * 1024

/** The map that an action was sent; null where it is none, or too long. */
export async function readMap(request: IncomingMessage): Promise<Record<string, unknown> | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    const bytes = chunk as Buffer // no encoding is set
    length += bytes.length
    if (length <= longestBody) chunks.push(bytes)
  }
  if (length > longestBody) return null
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>) // as was just asked
      : null
  } catch {
    return null
  }
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
}

/** A file of the page, read now and kept. */
export async function fileOf(name: string): Promise<{ readonly bytes: Buffer; readonly handle: PageHandler }> {
  const bytes = await readFile(new URL(`page/${name}`, import.meta.url))
  const type = types[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
  const handle: PageHandler = (_request, response) => {
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length })
    response.end(bytes)
  }
  return { bytes, handle }
}

/** The page itself, with another nonce each time. `base` is where its files are. */
export async function pageOf(base: string): Promise<PageHandler> {
  const { bytes } = await fileOf('index.html')
  const pieces = bytes.toString().replaceAll('__BASE__', base).split('__NONCE__')
  return (_request, response) => {
    const nonce = randomBytes(16).toString('base64')
    const html = pieces.join(nonce)
    response.writeHead(200, {
      'content-type': types.html,
      'content-length': Buffer.byteLength(html),
      'content-security-policy': policy(nonce),
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    })
    response.end(html)
  }
}

/** Nothing but the page's own script and style; no text can become markup anywhere. */
function policy(nonce: string): string {
  return (
    `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; img-src data:; ` +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
  )
}
