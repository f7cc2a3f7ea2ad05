/** How an upstream's certificate is judged, and what is shown in return. It is always judged: no option says otherwise. */
import { createHash } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { UpstreamTls } from '../result.ts'

/** Two upstreams with the same words may share connections; others never do, so that no change rides on what was opened before. */
export function fingerprintOf(tls: UpstreamTls | null): string {
  if (tls === null) return ''
  const { ca, cert, key, serverName, minVersion } = tls
  const words = JSON.stringify([ca, cert, key?.reveal() ?? null, serverName, minVersion])
  return createHash('sha256').update(words).digest('base64url')
}

/** Made once per origin: reading the certificates that Node trusts takes milliseconds. Throws where these are none. */
export function contextOf(tls: UpstreamTls | null): SecureContext {
  return createSecureContext({
    minVersion: tls?.minVersion ?? 'TLSv1.2',
    // Absent: Node's own list and NODE_EXTRA_CA_CERTS.
    ...(tls?.ca ? { ca: tls.ca } : {}),
    ...(tls?.cert ? { cert: tls.cert } : {}),
    ...(tls?.key ? { key: tls.key.reveal() } : {}),
  })
}
