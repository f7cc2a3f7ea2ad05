/** Who may call: one verifier for every face. Keys of gateway.yaml come first, then those of the database. */
import { hash } from 'node:crypto'
import { isOutage, type Database } from '../database/database.ts'
import type { Headers, Log, Metrics } from '../plugin.ts'
import type { Store } from '../store/store.ts'
import { Directory } from './directory.ts'
import { tellLookups } from './metrics.ts'
import type { Key } from './key.ts'
import type { Principal } from './principal.ts'
import { free, type Standing } from './standing.ts'
import { Standings } from './standings.ts'
import { checkKey, deny, type Denial } from './verify.ts'

/** Either a caller who may come in, with what it has left to spend, or the reason why not. */
export type Verdict =
  | { readonly principal: Principal; readonly standing: Standing; readonly denial: null }
  | { readonly principal: null; readonly standing: null; readonly denial: Denial }

export interface Access {
  /** Whether any key could be right: there are some in gateway.yaml, or there is a database. */
  readonly hasKeys: boolean
  /** Answers at once where everything is known. Never rejects. `isFree`: what is asked for costs nothing, so nobody has to be able to pay. */
  verify(credential: string, client: string, isFree?: boolean): Verdict | Promise<Verdict>
  /** What a caller has left now; rejects where nobody knows. */
  standingOf(principal: Principal): Standing | Promise<Standing>
}

/** The parts that outlive a reload. */
export interface Lasting {
  readonly directory: Directory
  readonly standings: Standings
}

/** Opens it. `keys` are those of gateway.yaml, by the SHA-256 of each, in hex; `take` is for what outlives a reload. */
export async function openAccess(
  keys: ReadonlyMap<string, Key>,
  { store, database }: { store: Store; database: Database | null },
  take: (open: () => Lasting, close: (it: Lasting) => Promise<void>) => Promise<Lasting>,
  log: Log,
  metrics: Metrics | null = null,
): Promise<Access> {
  if (!database) return new Verifier(keys, null, log)
  let stopTelling = (): void => {}
  const lasting = await take(
    () => {
      const directory = new Directory(database, store, log)
      const standings = new Standings(database, log)
      // After a gap nothing is known to have changed: it is only read again soon.
      directory.onChange((change) => (change === null ? standings.age() : standings.forget()))
      if (metrics) stopTelling = tellLookups(metrics, directory.lookups)
      return { directory, standings }
    },
    async ({ directory, standings }) => {
      stopTelling()
      await directory.close()
      await standings.close()
    },
  )
  return new Verifier(keys, lasting, log)
}

class Verifier implements Access {
  readonly #keys: ReadonlyMap<string, Key>
  readonly #lasting: Lasting | null
  readonly #log: Log

  constructor(keys: ReadonlyMap<string, Key>, lasting: Lasting | null, log: Log) {
    this.#keys = keys
    this.#lasting = lasting
    this.#log = log
  }

  get hasKeys(): boolean {
    return this.#keys.size > 0 || this.#lasting !== null
  }

  verify(credential: string, client: string, isFree = false): Verdict | Promise<Verdict> {
    const digest = hash('sha256', credential)
    const own = this.#keys.get(digest)
    if (own) return this.#judge(own, client, isFree)
    if (!this.#lasting) return denied(deny('INVALID_API_KEY'))
    const found = this.#lasting.directory.find(digest)
    if (!(found instanceof Promise)) return found ? this.#judge(found, client, isFree) : denied(deny('INVALID_API_KEY'))
    return found.then(
      (key) => (key ? this.#judge(key, client, isFree) : denied(deny('INVALID_API_KEY'))),
      (error: unknown) => this.#unknown(error),
    )
  }

  standingOf(principal: Principal): Standing | Promise<Standing> {
    return this.#lasting?.standings.of(principal) ?? free
  }

  #judge(key: Key, client: string, isFree: boolean): Verdict | Promise<Verdict> {
    const now = Date.now()
    const denial = checkKey(key, client, now)
    if (denial) return denied(denial)
    const { principal } = key
    if (principal.keyId !== null) this.#lasting?.directory.touch(principal.keyId)
    const standing = this.standingOf(principal)
    if (!(standing instanceof Promise)) return admitted(principal, standing, now, isFree)
    return standing.then(
      (known) => admitted(principal, known, now, isFree),
      (error: unknown) => this.#unknown(error),
    )
  }

  /** Why is for the log, which has it already where the database is away; the caller is told that it could not be found out. */
  #unknown(error: unknown): Verdict {
    if (isOutage(error)) return denied(deny('KEYS_UNAVAILABLE'))
    this.#log.error({ err: error }, 'a key could not be verified')
    return denied(deny('INTERNAL_ERROR'))
  }
}

function admitted(principal: Principal, standing: Standing, now: number, isFree: boolean): Verdict {
  const denial = isFree ? null : standing.check(now)
  return denial ? denied(denial) : { principal, standing, denial: null }
}

function denied(denial: Denial): Verdict {
  return { principal: null, standing: null, denial }
}

/** Where a client may have put its key, in the order in which it counts; null where it has none. */
export function credentialIn(headers: Readonly<Headers>, places: readonly Place[]): string | null {
  for (const place of places) {
    const value = headers[place]
    if (typeof value !== 'string') continue
    const credential = place === 'authorization' ? bearer(value) : value.trim()
    if (credential !== '') return credential
  }
  return null
}

export type Place = 'authorization' | 'x-api-key' | 'x-goog-api-key'

function bearer(value: string): string {
  return /^bearer\s/i.test(value) ? value.slice(7).trim() : ''
}
