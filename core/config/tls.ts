/** TLS in gateway.yaml: what listeners show, what upstreams show, and whether it holds together. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { JSONSchema } from 'json-schema-to-ts'
import type { UpstreamTls } from '../result.ts'
import type { ConfigOf } from '../plugin.ts'
import { isBroken, writtenAt, type Draft } from './check.ts'
import type { Path } from './document.ts'

const minVersion = {
  enum: ['TLSv1.2', 'TLSv1.3'],
  description: 'The oldest version that is spoken.',
  default: 'TLSv1.2',
} as const satisfies JSONSchema

/** Of an upstream. */
export const upstreamTls = {
  type: 'object',
  description:
    'How TLS is spoken with it. Its certificate is always verified. Absent: by the issuers that Node trusts, and those of ' +
    'NODE_EXTRA_CA_CERTS.',
  additionalProperties: false,
  properties: {
    ca: {
      type: 'string',
      format: 'certificate',
      description: 'The issuers it is verified by, in place of all others: file:PATH. Absent: those that Node trusts.',
    },
    cert: {
      type: 'string',
      format: 'certificate',
      description: 'The certificate it is shown, with those between it and its issuer: file:PATH. Absent: none.',
    },
    key: { type: 'string', format: 'secret', description: "The certificate's key: file:PATH. Absent: none." },
    server_name: {
      type: 'string',
      format: 'host',
      description: 'The name its certificate is for. Absent: that of its url.',
    },
    min_version: minVersion,
  },
} as const satisfies JSONSchema

/** Of a listener. */
export const listenerTls = {
  type: 'object',
  description:
    'Speaks TLS there, and nothing else. Other files take effect at once, for new connections; to begin or to end with ' +
    'tls or client_ca needs a restart. Absent: in the clear.',
  additionalProperties: false,
  required: ['cert', 'key'],
  properties: {
    cert: {
      type: 'string',
      format: 'certificate',
      description: 'The certificate, with those between it and its issuer: file:PATH.',
    },
    key: { type: 'string', format: 'secret', description: "The certificate's key: file:PATH." },
    client_ca: {
      type: 'string',
      format: 'certificate',
      description: 'Clients have to show a certificate of one of these issuers: file:PATH. Absent: they need none.',
    },
    min_version: minVersion,
  },
} as const satisfies JSONSchema

/** TLS of a listener as gateway.yaml has it. */
export type ListenerTls = ConfigOf<typeof listenerTls>

export function readTls({ ca, cert, key, server_name, min_version }: ConfigOf<typeof upstreamTls>): UpstreamTls {
  return Object.freeze({
    ca: ca ?? null,
    cert: cert ?? null,
    key: key ?? null,
    serverName: server_name ?? null,
    minVersion: min_version,
  })
}

/** Reports what of an upstream's TLS could never work. `path` is the upstream's. */
export function checkUpstreamTls(draft: Draft, path: Path): void {
  const { yaml, report } = draft
  const tls = [...path, 'tls']
  if (yaml.value(tls) === undefined) return
  const url = yaml.value([...path, 'url'])
  if (typeof url === 'string' && /^http:/i.test(url))
    report.add(yaml.offset(tls), 'an upstream in the clear has no tls', 'Write https:// in its url, or leave tls out')
  checkCertificates(draft, [...tls, 'ca'])
  checkPair(draft, tls)
}

/** Reports a certificate and a key that could not be shown. `path` is that of `tls`; nothing may be there. */
export function checkListenerTls(draft: Draft, path: Path): void {
  if (draft.yaml.value(path) === undefined) return
  checkCertificates(draft, [...path, 'client_ca'])
  checkPair(draft, path)
}

function checkPair(draft: Draft, path: Path): void {
  const { yaml, report } = draft
  const [cert, key] = [
    [...path, 'cert'],
    [...path, 'key'],
  ] as const
  const [certificate, secret] = [textAt(draft, cert), textAt(draft, key)]
  if ((certificate === null) !== (secret === null) && !isBroken(draft, cert) && !isBroken(draft, key)) {
    // What is required the schema has told already.
    if (yaml.value(cert) === undefined || yaml.value(key) === undefined)
      report.add(yaml.offset(path), 'cert and key belong together', 'Give both, or neither')
  }
  const shown = checkCertificates(draft, cert)
  if (secret === null) return
  try {
    const opened = createPrivateKey(secret)
    if (shown?.checkPrivateKey(opened)) checkContext(draft, cert, { cert: certificate!, key: secret })
    else if (shown)
      report.add(
        yaml.offset(key),
        `${said(draft, key)} is not the key of ${said(draft, cert)}`,
        'Name the two that were made together',
      )
  } catch {
    report.add(
      yaml.offset(key),
      `${said(draft, key)} is no private key in PEM, or needs a password`,
      'Name the file of the key, without a password',
    )
  }
}

/** The first of them, or null where there is none or it cannot be read; then that is reported. */
function checkCertificates(draft: Draft, path: Path): X509Certificate | null {
  const { yaml, report } = draft
  const text = textAt(draft, path)
  const [first, ...others] = text?.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (first === undefined) return null
  try {
    for (const other of others) void new X509Certificate(other)
    return new X509Certificate(first)
  } catch {
    report.add(yaml.offset(path), `${said(draft, path)} is a damaged certificate`, 'Look at it with openssl x509 -text')
    return null
  }
}

/** What OpenSSL alone can judge: keys too short for its level of security, digests that nobody trusts any more. */
function checkContext(draft: Draft, path: Path, options: SecureContextOptions): void {
  try {
    createSecureContext(options)
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error:[0-9A-F]*:/i, '') : String(error)
    draft.report.add(draft.yaml.offset(path), `OpenSSL refuses this: ${reason}`, 'Make the certificate anew')
  }
}

function textAt(draft: Draft, path: Path): string | null {
  const text = draft.yaml.value(path)
  return typeof text === 'string' && text !== '' && !isBroken(draft, path) ? text : null
}

function said(draft: Draft, path: Path): string {
  return writtenAt(draft, path) ?? `this ${String(path.at(-1))}`
}
