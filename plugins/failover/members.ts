/** Every upstream that was ever asked about, by what it is: name, address and credential. Outlives a reload. */
import { createHash } from 'node:crypto'
import type { Upstream } from 'postern/plugin'
import type { Rest } from './rests.ts'
import { Standing } from './rests.ts'

/** One credential at one address. */
export class Member {
  readonly id: string
  /** What concerns everything it is asked for. */
  readonly whole: Standing
  /** Of a monotonic clock, in ms; 0 where it never was. */
  usedAt = 0
  readonly #models = new Map<string, Standing>()
  readonly #marked: Set<Standing>

  constructor(id: string, marked: Set<Standing>) {
    this.id = id
    this.#marked = marked
    this.whole = new Standing(marked)
  }

  /** What gateway.yaml, or a plugin, calls it. */
  get name(): string {
    return this.id.slice(this.id.indexOf('/') + 1, this.id.lastIndexOf('#'))
  }

  get models(): ReadonlyMap<string, Standing> {
    return this.#models
  }

  /** What is known of one model; null where nothing is. */
  known(model: string | null): Standing | null {
    return model === null ? null : (this.#models.get(model) ?? null)
  }

  /** As `known`, but begins to know. Clients choose the names: only so many are kept, first of all those that rest. */
  of(model: string): Standing {
    const known = this.#models.get(model)
    if (known) return known
    if (this.#models.size >= mostModels) this.#models.delete(this.#leastWanted())
    const standing = new Standing(this.#marked)
    this.#models.set(model, standing)
    return standing
  }

  /** The longest rest that keeps it from being asked for the model. */
  rest(model: string | null, now: number): Rest | null {
    const whole = this.whole.rest(now)
    const own = this.known(model)?.rest(now) ?? null
    return whole && own ? (whole.until > own.until ? whole : own) : (whole ?? own)
  }

  /** As `rest`, without those that are given up in a panic. */
  firmRest(model: string | null, now: number): Rest | null {
    const whole = this.whole.firmRest(now)
    const own = this.known(model)?.firmRest(now) ?? null
    return whole && own ? (whole.until > own.until ? whole : own) : (whole ?? own)
  }

  /** Nothing of it rests any more. */
  wake(): void {
    this.whole.wake()
    for (const standing of this.#models.values()) standing.wake()
  }

  #leastWanted(): string {
    let oldest = ''
    for (const [model, standing] of this.#models) {
      if (!standing.isMarked) return model
      oldest ||= model
    }
    return oldest
  }
}

const mostModels = 200
const mostMembers = 20_000

export class Members {
  readonly #members = new Map<string, Member>()
  readonly #marked = new Set<Standing>()

  /** Whether nothing rests or recovers: then nobody has to look. */
  get isCalm(): boolean {
    return this.#marked.size === 0
  }

  get all(): Iterable<Member> {
    return this.#members.values()
  }

  of(upstream: Upstream): Member {
    return this.byId(idOf(upstream))
  }

  byId(id: string): Member {
    let member = this.#members.get(id)
    if (!member) {
      const [oldest] = this.#members.keys()
      if (this.#members.size >= mostMembers && oldest !== undefined) this.#members.delete(oldest)
      this.#members.set(id, (member = new Member(id, this.#marked)))
    }
    return member
  }

  /** Those that gateway.yaml, or a plugin, calls by this name, with whatever credential. */
  called(name: string): Member[] {
    return [...this.#members.values()].filter((member) => member.name === name)
  }

  /** Lets go of rests that are over. */
  sweep(now: number): void {
    for (const standing of this.#marked) standing.forgetIfOver(now)
  }
}

/** An upstream with another key or address is another one: a new key does not rest because the old one was refused. */
function idOf({ provider, name, url, key }: Upstream): string {
  const what = createHash('sha256').update(JSON.stringify([url?.href ?? null, key?.reveal() ?? null]))
  return `${provider}/${name}#${what.digest('base64url').slice(0, 10)}`
}
