/** Signatures of media URLs: HMAC-SHA-256 over what the URL opens and until when. */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'

/** What a signature covers. */
export interface Grant {
  readonly video: string
  readonly variant: string
  /** Unix time in seconds, as the URL spells it. */
  readonly expires: string
}

export interface Signer {
  /** The signature by the first key: 43 characters of base64url. */
  sign(grant: Grant): string
  /** Whether any of the keys has signed it. Takes as long for a wrong signature as for a right one. */
  isSigned(grant: Grant, signature: string): boolean
}

/** Fewer would be weaker than SHA-256 is: 32 characters of hex are 128 bits. */
const leastCharacters = 32

/**
 * A signer for the keys, the newest first. `scope` keeps apart what shares a key, such as two mounts. Throws where a key is
 * too short to be one.
 */
export function signerOf(keys: readonly string[], scope: string): Signer {
  for (const key of keys) {
    if (key.length < leastCharacters) {
      throw new Error(
        `media_keys: a key has fewer than ${leastCharacters} characters. openssl rand -hex 32 makes a good one`,
      )
    }
  }
  const secrets = keys.map((key) => createSecretKey(key, 'utf8'))
  const first = secrets[0]
  if (!first) throw new Error('media_keys: there is no key to sign with')

  // Neither an id, nor a variant, nor digits can hold a line break: no two grants make the same text.
  const textOf = ({ video, variant, expires }: Grant) => `postern media 1\n${scope}\n${video}\n${variant}\n${expires}`
  const signatureOf = (secret: typeof first, text: string) =>
    createHmac('sha256', secret).update(text).digest('base64url')

  return {
    sign: (grant) => signatureOf(first, textOf(grant)),
    isSigned(grant, signature) {
      const text = textOf(grant)
      const given = Buffer.from(signature)
      let isSigned = false
      for (const secret of secrets) {
        // Compared as text, not as the bytes it stands for: base64url has several spellings of the same bytes.
        const wanted = Buffer.from(signatureOf(secret, text))
        if (given.length === wanted.length && timingSafeEqual(given, wanted)) isSigned = true
      }
      return isSigned
    },
  }
}
