/** What processes tell each other of rests, through the store. Nothing on the way of a request waits for it. */
import type { Store } from 'postern/plugin'
import type { Member, Members } from './members.ts'
import { longestRest, type RestKind, type Standing } from './rests.ts'

const channel = 'failover'
/** The braces keep all of them on one node of a cluster, so that one command can read them all. */
const prefix = 'failover:{rests}:'
const kinds: readonly RestKind[] = ['health', 'limit', 'refused']
/** How many keys are read at once at most; where there are more, the next round goes on. */
const mostKeys = 2000
/** How long a process that proves an upstream may take until another one may, in ms. */
const turnLife = 30_000

export class Together {
  readonly #store: Store
  readonly #members: Members
  readonly #failed: (error: unknown) => void
  #next = 0

  /** `failed` is told what the store could not do; everything goes on without it. */
  constructor(store: Store, members: Members, failed: (error: unknown) => void) {
    this.#store = store
    this.#members = members
    this.#failed = failed
  }

  /** Tells the others of a rest. */
  tell(member: Member, model: string | null, kind: RestKind, until: number, now: number): void {
    const ttl = until - now
    if (ttl <= 0) return
    this.#run(this.#store.raise(keyOf(member, model), written(kind, until), ttl))
    this.#run(this.#store.publish(channel, JSON.stringify({ id: member.id, model, kind, until })))
  }

  /** Tells the others that it has proved to be well. */
  tellWell(member: Member, model: string | null): void {
    this.#run(this.#store.delete([turnOf(member, model)]))
    this.#run(this.#store.publish(channel, JSON.stringify({ id: member.id, model, kind: 'well', until: 0 })))
  }

  /** Asks for this process's turn to prove an upstream; whether it is granted shows on the standing. */
  askTurn(member: Member, model: string | null, standing: Standing): void {
    standing.turn = 'asked'
    const entry = { key: turnOf(member, model), value: '1', ttl: turnLife }
    this.#store.add(entry).then(
      (isOurs) => {
        standing.turn = isOurs ? 'granted' : 'none'
        standing.turnAgainAt = isOurs ? 0 : Date.now() + turnLife / 10
      },
      (error: unknown) => {
        // Without a store every process is alone, and decides alone.
        standing.turn = 'granted'
        this.#failed(error)
      },
    )
  }

  /** Gives the turn back: the exchange that was to prove it has ended. */
  endTurn(member: Member, model: string | null): void {
    this.#run(this.#store.delete([turnOf(member, model)]))
  }

  /** Forgets what is written of its rests, so that nobody learns them again. */
  async forget(member: Member): Promise<void> {
    const models = [null, ...member.models.keys()]
    await this.#store.delete(models.map((model) => keyOf(member, model)))
  }

  /** Listens to the others; resolves with what ends it. */
  listen(): Promise<() => Promise<void>> {
    return this.#store.subscribe(channel, (message) => this.#hear(message))
  }

  /** Reads what the others know of upstreams that this process meets for the first time. Never rejects, and soon resolves. */
  async introduce(strangers: readonly Member[], model: string | null): Promise<void> {
    const models = model === null ? [null] : [null, model]
    await this.#read(strangers.flatMap((member) => models.map((model) => ({ member, model }))))
  }

  /** Reads what the others have written of all that is known here, in one round trip. */
  async pull(): Promise<void> {
    const all = [...this.#members.all].flatMap((member) =>
      [null, ...member.models.keys()].map((model) => ({ member, model })),
    )
    if (this.#next >= all.length) this.#next = 0
    const asked = all.slice(this.#next, this.#next + mostKeys)
    this.#next += mostKeys
    await this.#read(asked)
  }

  async #read(asked: readonly { readonly member: Member; readonly model: string | null }[]): Promise<void> {
    if (asked.length === 0) return
    try {
      const values = await this.#store.getMany(asked.map(({ member, model }) => keyOf(member, model)))
      for (const [at, { member, model }] of asked.entries()) {
        const value = Number(values[at] ?? Number.NaN)
        const kind = kinds[value % 10]
        if (kind !== undefined) this.#learn(member, model, kind, Math.floor(value / 10) * 10)
      }
    } catch (error) {
      this.#failed(error)
    }
  }

  #hear(message: string): void {
    const told = readMessage(message)
    if (!told) return
    const member = this.#members.byId(told.id)
    if (told.kind === 'well') (told.model === null ? member.whole : member.known(told.model))?.well()
    else this.#learn(member, told.model, told.kind, told.until)
  }

  #learn(member: Member, model: string | null, kind: RestKind, until: number): void {
    const now = Date.now()
    if (!(until > now) || until > now + longestRest) return
    const standing = model === null ? member.whole : member.of(model)
    standing.raise({ kind, until, reason: 'told by another process' }, now)
  }

  #run(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#failed(error))
  }
}

/** One number that a larger one replaces: the moment, to ten ms, and in its last digit the kind. */
function written(kind: RestKind, until: number): number {
  return Math.floor(until / 10) * 10 + kinds.indexOf(kind)
}

function keyOf({ id }: Member, model: string | null): string {
  return model === null ? `${prefix}${id}` : `${prefix}${id}:${model.slice(0, 200)}`
}

function turnOf({ id }: Member, model: string | null): string {
  return `${prefix}turn:${id}${model === null ? '' : `:${model.slice(0, 200)}`}`
}

interface Message {
  readonly id: string
  readonly model: string | null
  readonly kind: RestKind | 'well'
  readonly until: number
}

function readMessage(text: string): Message | null {
  try {
    const { id, model, kind, until } = JSON.parse(text) as Partial<Message> // looked at before it counts
    if (typeof id !== 'string' || (model !== null && typeof model !== 'string') || typeof until !== 'number')
      return null
    const isKnown = kind === 'well' || (kind !== undefined && kinds.includes(kind))
    return isKnown ? { id, model, kind, until } : null
  } catch {
    return null
  }
}
