/**
 * Credentials as they lie in the database: AES-256-GCM, bound to the account they belong to.
 *
 *     1 byte   version, 1
 *     4 bytes  which key: the first of HKDF's output for another purpose, so it tells nothing of the key
 *     12 bytes nonce, random
 *     n bytes  the JSON, encrypted
 *     16 bytes tag, over all of it and the account's id
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** What an account needs to be let in: its key, and whatever else its type wants. */
export interface Credentials {
  readonly key: string
  readonly [more: string]: unknown
}

export interface Sealer {
  /** Seals with the first key. The same credentials never look the same twice. */
  seal(accountId: number, credentials: Credentials): Buffer
  /** Throws CannotOpen. */
  open(accountId: number, sealed: Buffer): Credentials
  /** Whether it was sealed with another key than the first one, and should be sealed again before that one is taken away. */
  isOld(sealed: Buffer): boolean
}

/** The message says what is wrong and what to do; it holds nothing of what was sealed. */
export class CannotOpen extends Error {
  override name = 'CannotOpen'
  readonly code: 'NO_SUCH_KEY' | 'CHANGED' | 'UNREADABLE'
  constructor(code: CannotOpen['code'], message: string) {
    super(message)
    this.code = code
  }
}

const version = 1
const idLength = 4
const nonceLength = 12
const tagLength = 16
const headerLength = 1 + idLength

/** 32 characters of hex are 128 bits; fewer could be guessed. */
const leastCharacters = 32

/** A sealer for the secrets, the newest first. Throws where there is none, or one is too short to be one. */
export function sealerOf(secrets: readonly string[]): Sealer {
  if (secrets.length === 0) throw new Error('secrets is empty: there is no key to seal credentials with')
  for (const secret of secrets) {
    if (secret.length < leastCharacters)
      throw new Error(
        `one of secrets has fewer than ${leastCharacters} characters. openssl rand -hex 32 makes a good one`,
      )
  }
  const keys = secrets.map(keyOf)
  const first = keys[0]!
  const keyFor = (sealed: Buffer) => {
    if (sealed.length < headerLength + nonceLength + tagLength || sealed[0] !== version)
      throw new CannotOpen('UNREADABLE', 'what is there was not sealed by this version')
    const key = keys.find(({ id }) => id.equals(sealed.subarray(1, headerLength)))
    if (!key)
      throw new CannotOpen(
        'NO_SUCH_KEY',
        'they were sealed with a key that is not in secrets: add it behind the new one, or give the account its credentials again',
      )
    return key
  }
  return {
    seal(accountId, credentials) {
      const header = Buffer.concat([Buffer.of(version), first.id])
      const nonce = randomBytes(nonceLength)
      const cipher = createCipheriv('aes-256-gcm', first.key, nonce)
      cipher.setAAD(boundTo(header, accountId))
      const text = cipher.update(JSON.stringify(credentials), 'utf8')
      return Buffer.concat([header, nonce, text, cipher.final(), cipher.getAuthTag()])
    },
    open(accountId, sealed) {
      const { key } = keyFor(sealed)
      const nonceEnd = headerLength + nonceLength
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(headerLength, nonceEnd), {
        authTagLength: tagLength,
      })
      decipher.setAAD(boundTo(sealed.subarray(0, headerLength), accountId))
      decipher.setAuthTag(sealed.subarray(-tagLength))
      let text: string
      try {
        text = decipher.update(sealed.subarray(nonceEnd, -tagLength), undefined, 'utf8') + decipher.final('utf8')
      } catch {
        throw new CannotOpen('CHANGED', 'they were changed since they were sealed, or belong to another account')
      }
      return credentialsIn(text)
    },
    isOld: (sealed) => keyFor(sealed) !== first,
  }
}

interface SealingKey {
  readonly id: Buffer
  readonly key: Buffer
}

function keyOf(secret: string): SealingKey {
  const derive = (purpose: string, length: number) => Buffer.from(hkdfSync('sha256', secret, '', purpose, length))
  return { id: derive('postern accounts: which key', idLength), key: derive('postern accounts: credentials', 32) }
}

function boundTo(header: Buffer, accountId: number): Buffer {
  return Buffer.concat([header, Buffer.from(`account ${accountId}`)])
}

function credentialsIn(text: string): Credentials {
  const value = JSON.parse(text) as Credentials | null // sealed by us; looked at all the same
  if (typeof value !== 'object' || value === null || typeof value.key !== 'string' || value.key === '')
    throw new CannotOpen('UNREADABLE', 'they hold no key')
  return value
}
