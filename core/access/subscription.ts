/** What a user may spend through a group, in three windows: looked at in memory, kept up to date in the background. */
import { deny, type Denial } from './verify.ts'

export interface Window {
  /** ms since the epoch; null until the first use. */
  readonly start: number | null
  readonly usage: bigint
  /** Null: no limit. */
  readonly limit: bigint | null
}

/** A subscription as it was read. */
export interface Subscription {
  readonly id: number
  readonly userId: number
  readonly groupId: number
  readonly status: 'active' | 'expired' | 'suspended'
  readonly expiresAt: number
  readonly daily: Window
  readonly weekly: Window
  readonly monthly: Window
}

export type WindowName = 'daily' | 'weekly' | 'monthly'
const hour = 60 * 60 * 1000

/** How long each window lasts, in ms. */
export const windows: Readonly<Record<WindowName, number>> = {
  daily: 24 * hour,
  weekly: 7 * 24 * hour,
  monthly: 30 * 24 * hour,
}
export const windowNames = Object.keys(windows) as WindowName[] // the keys of the table above

export interface Validated {
  readonly denial: Denial | null
  /** A window has to be begun, or begun anew, in the database. */
  readonly needsMaintenance: boolean
}

/**
 * Whether it may be used, at `now` (ms since the epoch), with `spent` more than what was read. Pure: a window that is over counts
 * as empty here, and the database is told later.
 */
export function validateAndCheckLimits(subscription: Subscription, now: number, spent = 0n): Validated {
  if (subscription.status === 'suspended')
    return { denial: deny('SUBSCRIPTION_INVALID', 'The subscription is suspended'), needsMaintenance: false }
  if (subscription.status === 'expired' || now > subscription.expiresAt)
    return { denial: deny('SUBSCRIPTION_INVALID', 'The subscription has expired'), needsMaintenance: false }
  let denial: Denial | null = null
  let needsMaintenance = false
  for (const name of windowNames) {
    const { start, usage, limit } = subscription[name]
    const isOver = start === null || now - start >= windows[name]
    needsMaintenance ||= isOver
    const used = (isOver ? 0n : usage) + spent
    if (denial === null && limit !== null && limit > 0n && used > limit)
      denial = deny('USAGE_LIMIT_EXCEEDED', `The ${name} usage limit is reached`)
  }
  return { denial, needsMaintenance }
}

/** The midnight before `now`, in the time zone of this process: where a new window begins. */
export function midnightBefore(now: number): number {
  return new Date(now).setHours(0, 0, 0, 0)
}
