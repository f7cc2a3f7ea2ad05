/** From a name to the addresses that may be dialled: looked up once for many connections, checked, remembered for a while. */
import { lookup } from 'node:dns'
import { isPermitted, kindOf } from './addresses.ts'
import { AddressRefused } from './dial-errors.ts'

/** Asks for every address of a name. The errors are the resolver's own, such as ENOTFOUND. */
export type Resolve = (name: string, done: (error: Error | null, addresses: readonly string[]) => void) => void

/** The system's resolver: /etc/hosts, search domains and all, in its own order. */
export const systemResolve: Resolve = (name, done) => {
  lookup(name, { all: true, order: 'verbatim' }, (error, found) =>
    done(error, error ? [] : found.map(({ address }) => address)),
  )
}

/** How long an answer that passed the check is good, in ms. */
export const remembered = 30_000

/** After this long, in ms, a question that was not answered is asked again by whoever needs it next. */
export const patience = 5_000

type Waiting = (error: Error | null, addresses: readonly string[]) => void

export interface NameOptions {
  readonly allowsPrivate: boolean
  readonly resolve: Resolve
  /** In ms; a clock that never goes back. */
  readonly now?: () => number
}

/** One name. An answer counts as a whole: where one of its addresses may not be dialled, none is. */
export class Name {
  readonly #name: string
  readonly #options: NameOptions
  readonly #now: () => number
  #answer: { readonly addresses: readonly string[]; readonly until: number } | null = null
  #asking: { readonly since: number; readonly waiting: Waiting[] } | null = null

  constructor(name: string, options: NameOptions) {
    this.#name = name
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Calls back with at least one address, at once where they are known. Those who ask meanwhile are given the same answer. */
  find(done: Waiting): void {
    const now = this.#now()
    if (this.#answer && now < this.#answer.until) return done(null, this.#answer.addresses)
    this.#answer = null
    if (this.#asking && now - this.#asking.since < patience) return void this.#asking.waiting.push(done)
    const asking = { since: now, waiting: [done] }
    this.#asking = asking
    this.#options.resolve(this.#name, (error, addresses) => {
      if (this.#asking === asking) this.#asking = null
      const failure = error ?? this.#problemWith(addresses)
      this.#answer = failure ? null : { addresses, until: this.#now() + remembered }
      for (const one of asking.waiting) one(failure, failure ? [] : addresses)
    })
  }

  /** What is remembered has led nowhere. */
  forget(): void {
    this.#answer = null
  }

  #problemWith(addresses: readonly string[]): Error | null {
    if (addresses.length === 0) return Object.assign(new Error(`${this.#name} has no address`), { code: 'ENOTFOUND' })
    for (const address of addresses) {
      const kind = kindOf(address)
      if (!isPermitted(kind, this.#options.allowsPrivate)) return new AddressRefused(this.#name, address, kind)
    }
    return null
  }
}

/** RFC 6761 §6.3: never asked of a resolver, so that none can say otherwise. */
export const loopback: readonly string[] = ['127.0.0.1', '::1']

/** Whether a host is `localhost`, or a name below it. */
export function isLocalhost(host: string): boolean {
  return /(^|\.)localhost\.?$/i.test(host)
}
