/** The checks of a key, in their order: the first that fails is told. */
import { longestPause } from '../database/backoff.ts'
import type { Key } from './key.ts'

/** Why a caller is not let in. */
export interface Denial {
  readonly status: number
  readonly code: DenialCode
  readonly message: string
  /** Seconds after which the answer may be another: it hangs on us, not on the caller. */
  readonly retryAfter?: number
}

/** Status and words for each reason. They are told to the caller, so they name nothing of the inside. */
export const denials = {
  API_KEY_IN_QUERY_DEPRECATED: [
    400,
    'API key in query parameter is deprecated. Please use Authorization header instead.',
  ],
  API_KEY_REQUIRED: [
    401,
    'API key is required in Authorization header (Bearer scheme), x-api-key header, or x-goog-api-key header',
  ],
  INVALID_API_KEY: [401, 'Invalid API key'],
  INTERNAL_ERROR: [500, 'Failed to validate API key'],
  KEYS_UNAVAILABLE: [503, 'API keys cannot be verified at the moment'],
  API_KEY_QUOTA_EXHAUSTED: [429, 'The quota of this API key is used up'],
  API_KEY_EXPIRED: [403, 'This API key has expired'],
  API_KEY_DISABLED: [401, 'API key is disabled'],
  ACCESS_DENIED: [403, 'Access denied'],
  USER_NOT_FOUND: [401, 'User associated with API key not found'],
  USER_INACTIVE: [401, 'User account is not active'],
  SUBSCRIPTION_NOT_FOUND: [403, 'No active subscription found for this group'],
  SUBSCRIPTION_INVALID: [403, 'The subscription is not active'],
  USAGE_LIMIT_EXCEEDED: [429, 'A usage limit of the subscription is reached'],
  INSUFFICIENT_BALANCE: [403, 'Insufficient account balance'],
} as const satisfies Record<string, readonly [number, string]>

export type DenialCode = keyof typeof denials

export function deny(code: DenialCode, message: string = denials[code][1]): Denial {
  const denial = { status: denials[code][0], code, message }
  return code === 'KEYS_UNAVAILABLE' ? { ...denial, retryAfter: longestPause / 1000 } : denial
}

/** Everything about the key itself; null: it is good. `now` in ms since the epoch. */
export function checkKey(key: Key, client: string, now: number): Denial | null {
  if (key.status === 'quota_exhausted') return deny('API_KEY_QUOTA_EXHAUSTED')
  if (key.status === 'expired') return deny('API_KEY_EXPIRED')
  if (key.status !== 'active') return deny('API_KEY_DISABLED')
  if (key.expiresAt !== null && key.expiresAt <= now) return deny('API_KEY_EXPIRED')
  if (key.isSpent) return deny('API_KEY_QUOTA_EXHAUSTED')
  if (key.addresses !== null && !isAdmitted(key.addresses, client)) return deny('ACCESS_DENIED')
  if (key.user === 'missing') return deny('USER_NOT_FOUND')
  if (key.user === 'inactive') return deny('USER_INACTIVE')
  return null
}

/** Deny wins over allow; an empty allow list admits everybody. */
function isAdmitted({ allow, deny: denied }: NonNullable<Key['addresses']>, client: string): boolean {
  return !denied.has(client) && (allow.size === 0 || allow.has(client))
}
