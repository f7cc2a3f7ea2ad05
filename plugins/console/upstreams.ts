/** How upstreams do, as far as this process has seen. */
import { redactText, redactUrl, type Result, type Store, type Upstream } from 'postern/plugin'
import type { Asides } from './aside.ts'
import type { Asked, Passed } from './notes.ts'

/** How far an average moves with each result. */
const step = 0.2
/** Upstreams that are remembered; accounts come and go. */
const mostKnown = 10_000

/** How often the candidates of an exchange are looked at for new ones, in ms. */
const meetEvery = 1000
/** One that is in no configuration any more is shown for so long after it could be asked last, in ms. */
const shownFor = 3_600_000

interface Seen {
  /** As the latest gateway has it. */
  upstream: Upstream
  /** When it could last be asked, as far as was looked. */
  metAt: number
  asked: number
  failed: number
  /** Moving average of errors, 0 to 1. */
  errors: number
  /** Moving average of the time to the first content of good answers, in ms; null before the first. */
  firstContent: number | null
  lastAskedAt: number
  lastError: string | null
  lastErrorAt: number
  /** Why it was passed over last, and until when that may hold. */
  passed: { readonly reason: string; readonly at: number; readonly until: number | null } | null
}

/** One per process. */
export class Health {
  readonly #seen = new Map<string, Seen>()
  #metAt = 0

  get names(): string[] {
    return [...this.#seen.keys()]
  }

  note({ upstream }: Pick<Asked, 'upstream'>, result: Result): void {
    if (!upstream) return
    const seen = this.#of(upstream)
    const isGood = result.kind === 'response' && result.status < 400
    // A request that is wrong by itself says nothing of who has refused it.
    const isError = !isGood && result.judgement !== 'final'
    seen.asked++
    seen.lastAskedAt = Date.now()
    if (isGood) seen.firstContent = (seen.firstContent ?? result.ms) * (1 - step) + result.ms * step
    if (isGood || isError) seen.errors = seen.errors * (1 - step) + (isError ? step : 0)
    if (isGood) seen.passed = null
    if (!isError) return
    seen.failed++
    seen.lastErrorAt = seen.lastAskedAt
    seen.lastError = result.kind === 'response' ? String(result.status) : (result.error.code ?? result.error.name)
  }

  passedOver(passed: readonly Passed[]): void {
    const at = Date.now()
    for (const { upstream, reason, wait } of passed) {
      const seen = this.#seen.get(upstream)
      if (seen) seen.passed = { reason, at, until: wait === null ? null : at + wait }
    }
  }

  /** Somebody has ended its rests: why it was passed over before says nothing any more. */
  woken(name: string): void {
    const seen = this.#seen.get(name)
    if (seen) seen.passed = null
  }

  /** Plugins may offer further ones at any time: looked at now and then, not for each exchange. */
  considered(upstreams: readonly Upstream[]): void {
    const now = Date.now()
    if (now - this.#metAt < meetEvery) return
    this.#metAt = now
    this.meet(upstreams)
  }

  /** A gateway has these. */
  meet(upstreams: readonly Upstream[]): void {
    const now = Date.now()
    for (const upstream of upstreams) {
      const seen = this.#of(upstream)
      seen.upstream = upstream
      seen.metAt = now
    }
  }

  /** All that is known of each upstream, and how many of its slots are taken. */
  async told(listed: readonly Upstream[], asides: Asides, store: Store): Promise<object[]> {
    const now = Date.now()
    const names = new Set(listed.map(({ name }) => name))
    const others = [...this.#seen.values()].filter(
      ({ upstream, metAt }) => !names.has(upstream.name) && metAt > now - shownFor,
    )
    const all = [...listed, ...others.map(({ upstream }) => upstream)]
    const taken = await store.count(all.map(({ name }) => `slots:upstream:${name}`)).catch(() => null)
    return all.map((upstream, at) => {
      const seen = this.#seen.get(upstream.name)
      const until = asides.until(upstream.name, now)
      return {
        name: upstream.name,
        provider: upstream.provider,
        address: upstream.url ? redactUrl(upstream.url.href) : null,
        priority: upstream.priority,
        slots: { limit: upstream.slots, taken: taken?.[at] ?? null },
        aside_until: momentOf(until),
        passed_over: restOf(seen?.passed ?? null, now),
        asked: seen?.asked ?? 0,
        failed: seen?.failed ?? 0,
        errors: seen && seen.asked > 0 ? Math.round(seen.errors * 1000) / 1000 : null,
        first_content_ms: seen?.firstContent == null ? null : Math.round(seen.firstContent),
        last_asked_at: momentOf(seen?.lastAskedAt ?? 0),
        last_error: seen?.lastError ?? null,
        last_error_at: momentOf(seen?.lastErrorAt ?? 0),
      }
    })
  }

  #of(upstream: Upstream): Seen {
    let seen = this.#seen.get(upstream.name)
    if (seen) return seen
    const [oldest] = this.#seen.keys()
    if (this.#seen.size >= mostKnown && oldest !== undefined) this.#seen.delete(oldest)
    seen = {
      upstream,
      metAt: Date.now(),
      asked: 0,
      failed: 0,
      errors: 0,
      firstContent: null,
      lastAskedAt: 0,
      lastError: null,
      lastErrorAt: 0,
      passed: null,
    }
    this.#seen.set(upstream.name, seen)
    return seen
  }
}

/** Null where its time is over. One without an end is told with the moment at which it was seen. */
function restOf(passed: Seen['passed'], now: number): object | null {
  if (!passed || (passed.until !== null && passed.until <= now)) return null
  return { reason: redactText(passed.reason), at: momentOf(passed.at), until: momentOf(passed.until) }
}

function momentOf(ms: number | null): string | null {
  return ms === null || ms === 0 ? null : new Date(ms).toISOString()
}
