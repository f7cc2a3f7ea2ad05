/** Sees whom a gateway asks, and knows from its log alone who rests. */
import { definePlugin, type Failure, type PassedOver, type Plugin, type Result, type Upstream } from 'postern/plugin'
import type { LogRecord, TestGateway } from '../harness.ts'

/** What a rest may be off by, in ms: the log tells whole ms, and the clock goes on between two looks. */
const slack = 5

/** As much of an exchange as it looks at. */
interface Seen {
  readonly id: string
  readonly failures: readonly Failure[]
  readonly passedOver: readonly PassedOver[]
  readonly facts: {
    readonly model: string | null
    readonly load: ReadonlyMap<Upstream, number> | null
    readonly pin: { readonly isHard: boolean } | null
  }
}

export class Witness {
  /** Choices that should not have been, in sentences. */
  readonly wrong: string[] = []
  /** As `wrong`: who had begun to rest between the choice and the sending, while the exchange waited for a slot. */
  readonly late: string[] = []
  readonly plugin: Plugin
  readonly #rests = new Rests()
  #attempts = 0
  #inSpite = 0
  /** By exchange: who was chosen although it rested. */
  readonly #chosenInSpite = new Map<string, Upstream>()

  constructor() {
    const hooks = {
      rankUpstreams: (exchange: Seen, ranked: readonly Upstream[]) => {
        const [first] = ranked
        if (first) this.#chosen(exchange, first)
        else this.#noneChosen(exchange)
        return ranked
      },
      onUpstreamRequest: (exchange: Seen & { readonly upstream: Upstream | null }) => {
        if (exchange.upstream) this.#asked(exchange, exchange.upstream)
      },
      onUpstreamResult: ({ upstream, facts }: Seen & { readonly upstream: Upstream | null }, result: Result) => {
        const isWell = result.kind === 'response' && result.status < 400
        if (upstream && isWell) this.#rests.proved(upstream, facts.model, Date.now() - result.ms)
      },
      onEnd: ({ id }: Seen) => void this.#chosenInSpite.delete(id),
    }
    this.plugin = definePlugin({
      name: 'witness',
      config: { type: 'object', description: 'Looks who is asked.', additionalProperties: false, properties: {} },
      mayRead: ['model', 'load', 'pin'],
      setup: () => hooks,
    })
  }

  watch({ records }: TestGateway): void {
    this.#rests.records = records
  }

  get summary(): string {
    return `${this.#rests.count} rests, ${this.#attempts} attempts, ${this.#inSpite} of them in spite of a rest, for want of another`
  }

  #chosen(exchange: Seen, first: Upstream): void {
    this.#chosenInSpite.delete(exchange.id)
    if (this.#rests.until(first, exchange.facts.model) <= Date.now() + slack) return
    this.#chosenInSpite.set(exchange.id, first)
    // Only one will do: its own health is no reason to give up what nobody else has.
    const other = exchange.facts.pin?.isHard ? null : this.#freeBeside(exchange, first)
    if (other) this.wrong.push(`${exchange.id}: ${first.name} rests and ${other} is free`)
    if (this.#rests.until(first, exchange.facts.model, 'firm') > Date.now() + slack)
      this.late.push(`${exchange.id}: ${first.name} has reached a limit since its last try, and is chosen once more`)
  }

  #noneChosen(exchange: Seen): void {
    const other = exchange.facts.pin?.isHard ? null : this.#freeBeside(exchange, null)
    if (other) this.wrong.push(`${exchange.id}: nobody is chosen, and ${other} is free`)
  }

  #asked(exchange: Seen, upstream: Upstream): void {
    this.#attempts++
    const { id, facts } = exchange
    const now = Date.now()
    if (this.#rests.until(upstream, facts.model) <= now + slack) return
    this.#inSpite++
    const isFirm = this.#rests.until(upstream, facts.model, 'firm') > now + slack
    const wasKnown = this.#chosenInSpite.get(id) === upstream
    const other = facts.pin?.isHard || wasKnown ? null : this.#freeBeside(exchange, upstream)
    if (isFirm) this.late.push(`${id}: ${upstream.name} has reached a limit since it was chosen, and is asked`)
    else if (other)
      this.late.push(`${id}: ${upstream.name} has begun to rest since it was chosen, and ${other} is free`)
  }

  /** Somebody who could have been asked instead. */
  #freeBeside({ facts, failures, passedOver }: Seen, one: Upstream | null): string | null {
    for (const [other, share] of facts.load ?? []) {
      if (other === one || share >= 1) continue
      // One whose rest is over has to show that it is well again: another exchange is trying it.
      if (!this.#rests.isOver(other, facts.model)) continue
      if (failures.some(({ upstream }) => upstream.name === other.name)) continue
      if (passedOver.some(({ upstream, reason }) => upstream === other && /tried again/.test(reason))) continue
      return other.name
    }
    return null
  }
}

/** Until when each upstream rests, or each model of it. */
class Rests {
  records: readonly LogRecord[] = []
  count = 0
  #read = 0
  readonly #until = new Map<string, number>()
  readonly #proved = new Map<string, number>()

  /** In ms since 1970; 0 where it never did. `firm`: of rests that are more than our own judgement of its health. */
  until({ name }: Upstream, model: string | null, which: 'any' | 'firm' = 'any'): number {
    for (; this.#read < this.records.length; this.#read++) this.#note(this.records[this.#read]!)
    const of = (key: string) => this.#until.get(`${which} ${name} ${key}`) ?? 0
    return Math.max(of(''), of(model ?? ''))
  }

  /** An answer to what was asked at this moment, in ms since 1970. */
  proved({ name }: Upstream, model: string | null, at: number): void {
    this.#proved.set(`${name} ${model ?? ''}`, at)
  }

  /** Whether it has never rested, or has answered well since. */
  isOver(upstream: Upstream, model: string | null): boolean {
    const until = this.until(upstream, model)
    const proved = this.#proved.get(`${upstream.name} ${model ?? ''}`) ?? 0
    return until === 0 || (until < Date.now() - slack && proved > until)
  }

  #note({ rest_until: until, rest_kind: kind, account_id: account, model = '' }: LogRecord): void {
    if (typeof until !== 'string') return
    this.count++
    for (const which of kind === 'health' ? ['any'] : ['any', 'firm']) {
      const key = `${which} ${String(account)} ${String(model)}`
      this.#until.set(key, Math.max(this.#until.get(key) ?? 0, Date.parse(until)))
    }
  }
}
