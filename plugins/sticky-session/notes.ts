/** What this plugin notes of an exchange, and the facts it tells the others. */
import type { ConfigOf, Exchange, Upstream } from 'postern/plugin'
import { eventsLookedAt } from './answer.ts'
import type { Binding } from './bindings.ts'
import type { config } from './config.ts'
import { keyOf, legacyKeyOf, sessionOf, type Keys } from './keys.ts'
import type { Known, Pin } from './pin.ts'
import { compileSources, responseName, type Found } from './source.ts'
import { tenantOf, type Admitted } from './tenant.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** Names the conversation, its tenant included: the same in every turn, told apart from every other. */
    session: string
    /** The upstream where it would have to go on, or had better; settled anew for each attempt. */
    pin: Pin
    /** What sticky-session notes for itself; of no use to anybody else. */
    sticky: Notes
  }
}

export type Options = ConfigOf<typeof config>
export type Asked = Exchange<'claim', 'session' | 'pin' | 'sticky'>

export interface Notes {
  readonly session: Keys | null
  readonly anchor: Keys | null
  /** Where a response is bound by its id; null where the answer will be none that is stored. */
  readonly bindResponse: ((id: string, upstream: string) => Binding) | null
  /** Null until the store was asked; it is asked once, whatever it says. */
  known: Known | null
  /** What the latest ranking could choose from. */
  candidates: readonly Upstream[]
  /** The upstream that answered well. */
  served: string | null
  /** Whether the upstream that the session was held to cannot be used now. */
  isSpent: boolean
  /** Events that may still tell the id of a stored response. */
  events: number
}

/** What is known of a session where the store could not be asked, or need not be: not even that there is no binding. */
export const unknown: Known = Object.freeze({ session: null, anchor: null })

/** Compiles the options to what reads an exchange; what it returns makes the notes when they are first asked for. */
export function compileNotes(options: Options): (exchange: Asked) => Notes {
  const seek = compileSources(options.sources, options.from_content)
  const usesOld = options.session_hash_read_old_fallback || options.session_hash_dual_write_old
  return (exchange) => {
    const { facts } = exchange
    if (facts.sticky) return facts.sticky
    const { session, anchor } = seek(exchange, facts.claim)
    const isStored =
      options.bind_responses && facts.claim?.operation === 'responses' && exchange.body.get('store') !== false
    if (!session && !anchor && !isStored) return (facts.sticky = notesWith(null, null, null))
    // Read by its shape: its type belongs to whoever admits clients.
    const principal = (facts as { principal?: Admitted | null }).principal ?? null
    const tenant = tenantOf(principal, exchange.headers, exchange.query, exchange.client)
    const group = principal?.group ?? options.legacy_group
    const keysOf = ({ name, legacy }: Found): Keys => ({
      key: keyOf(sessionOf(tenant, name)),
      legacy: legacy && usesOld ? legacyKeyOf(group, legacy()) : null,
    })
    const name = (session ?? anchor)?.name
    if (name !== undefined) facts.session = sessionOf(tenant, name)
    return (facts.sticky = notesWith(
      session && keysOf(session),
      anchor && keysOf(anchor),
      isStored ? (id, upstream) => ({ keys: keysOf(responseName(id)), upstream, ttl: options.response_ttl }) : null,
    ))
  }
}

function notesWith(session: Keys | null, anchor: Keys | null, bindResponse: Notes['bindResponse']): Notes {
  return {
    session,
    anchor,
    bindResponse,
    known: session || anchor ? null : unknown,
    candidates: [],
    served: null,
    isSpent: false,
    events: bindResponse ? eventsLookedAt : 0,
  }
}
