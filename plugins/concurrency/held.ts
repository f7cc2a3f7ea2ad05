/** What an exchange holds and has met with on its way. Made only where something limits it. */
import type { Exchange, Slot, Upstream } from 'postern/plugin'

declare module 'postern/plugin' {
  interface Facts {
    /**
     * The share of its slots that is taken or waited for, of each upstream that could be asked: 1 and more is full, 0 has no limit.
     * Null where none of them has one. Read anew for each attempt.
     */
    load: ReadonlyMap<Upstream, number>
    /** What the exchange holds of slots, and how long it has waited for them. */
    slots: Held
  }
}

export interface Held {
  /** Whether the caller's own limit was asked: once per exchange. */
  isAdmitted: boolean
  caller: Slot | null
  /** The slot of the upstream that is asked now, or that will be asked next. */
  asked: { readonly slot: Slot; readonly upstream: Upstream } | null
  /** What the latest ranking could choose from. */
  candidates: readonly Upstream[]
  /** Upstreams that had no slot when this exchange came. */
  full: readonly Upstream[]
  /** Whether the latest attempt was given up for want of a slot. */
  isPassedOn: boolean
  /** How long it has waited for slots so far, in ms. */
  waited: number
}

export type Limited = Exchange<'principal' | 'pin' | 'session', 'load' | 'slots'>

const none: readonly Upstream[] = Object.freeze([])

/** What the exchange holds; made when it is first asked for. */
export function heldBy({ facts }: Limited): Held {
  return (facts.slots ??= {
    isAdmitted: false,
    caller: null,
    asked: null,
    candidates: none,
    full: none,
    isPassedOn: false,
    waited: 0,
  })
}

/** Counts how long it is waited, whatever comes of it. */
export async function waited<T>(held: Held, waiting: Promise<T>): Promise<T> {
  const since = performance.now()
  try {
    return await waiting
  } finally {
    held.waited += performance.now() - since
  }
}
