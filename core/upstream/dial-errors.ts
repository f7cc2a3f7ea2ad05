/** Why no connection to an upstream was made, where it is not the network's own error. `told` is fit for clients. */
import type { ErrorCode } from '../errors.ts'
import type { AddressKind } from './addresses.ts'

export class DialError extends Error {
  readonly code: ErrorCode
  /** What a client is told of it: no address, and nothing of the network behind. */
  readonly told: string

  constructor(code: ErrorCode, message: string, told: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.told = told
  }
}

/** The name has led to an address that is not dialled. */
export class AddressRefused extends DialError {
  override name = 'AddressRefused'
  constructor(host: string, address: string, { name, reach }: AddressKind) {
    const cure =
      reach === 'private'
        ? 'if it is meant to, give the upstream allow_private: true'
        : 'no upstream may have such an address'
    super('UPSTREAM_ADDRESS', `${host} leads to ${address}, which is ${name}: ${cure}`, `it is ${name}`)
  }
}

/** The upstream has not shown who it is. */
export class CertificateRefused extends DialError {
  override name = 'CertificateRefused'
  constructor(host: string, told: string, cure: string, cause: Error) {
    super('UPSTREAM_CERTIFICATE', `the certificate of ${host} is refused: ${told} (${cause.message}); ${cure}`, told, {
      cause,
    })
  }
}

/** Not connected, TLS included, within the time for it. */
export class ConnectTimeout extends Error {
  override name = 'ConnectTimeout'
  readonly code = 'CONNECT_TIMEOUT'
  constructor(host: string, ms: number) {
    super(`no connection to ${host} within ${ms} ms`)
  }
}

/** What a failed TLS handshake comes to: an error that says whose fault it is, where that can be told; else the one it was. */
export function handshakeError(host: string, error: NodeJS.ErrnoException): Error {
  const code = error.code ?? ''
  const found = faults.find(([pattern]) => pattern.test(code))
  if (!found) return error
  const [, told, cure] = found
  return new CertificateRefused(host, told, cure, error)
}

/** By the codes of OpenSSL and Node: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const faults: readonly (readonly [RegExp, told: string, cure: string])[] = [
  [/^CERT_HAS_EXPIRED$/, 'it has expired', 'whoever runs the upstream has to renew it'],
  [/^CERT_NOT_YET_VALID$/, 'it is not valid yet', "look at this machine's clock"],
  [/^CERT_REVOKED$/, 'it was revoked', 'whoever runs the upstream has to renew it'],
  [
    /^ERR_TLS_CERT_ALTNAME/,
    'it is for another name',
    'correct the url of the upstream, or say by tls.server_name what the certificate is for',
  ],
  [
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_UNTRUSTED|INVALID_CA|CERT_SIGNATURE|CERT_CHAIN)/,
    'its issuer is not known here',
    'name the issuer by tls.ca of the upstream, or by NODE_EXTRA_CA_CERTS for all',
  ],
  [
    /^(CERT_|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|CA_MD)/,
    'it is not good for this',
    'look at it with openssl s_client',
  ],
]
