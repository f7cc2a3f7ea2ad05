/**
 * Four ways in which several answers become one. A chain is compiled once per gateway from the hooks that joined a phase, in
 * the order in which they shall be asked; a phase nobody joined is null and costs nothing. Only promises are awaited.
 */
import type { Exchange, Maybe, Phase, Said, SessionMessage, Speaker } from './plugin.ts'

/** A hook and the plugin it belongs to. */
export interface Link<H> {
  readonly plugin: string
  readonly hook: H
}

export type Ask<S, R> = (exchange: Exchange, subject: S) => R

/** A compiled chain: it notes on the exchange who is asked, and who has answered. */
export type Chain<S, R> = (exchange: Exchange & Walk, subject: S) => R

/** What chains note of an exchange while it walks. Each is one assignment: whoever wants to know looks when it matters. */
export interface Walk {
  /** The hook that was asked last; several are never asked at the same time. */
  hook: Speaker | null
  /** Whether that hook has promised an answer and not given it yet. */
  isPending: boolean
  /** Who gave the answer in place of an upstream. The first counts. */
  answeredBy: Speaker | null
  said: Said[]
  attempt: number
}

/** Words that are kept of one exchange: a plugin that edits a field per event must not grow without end. */
const mostSaid = 64

/** Notes what a plugin has said. */
export function note(walk: Walk, by: Speaker | null, what: Said['what'], field: string | null): void {
  if (by === null || walk.said.length >= mostSaid) return
  walk.said.push({ plugin: by.plugin, phase: by.phase, attempt: walk.attempt, what, field })
}

interface Step<H> {
  readonly at: Speaker
  readonly hook: H
}

/** What `Walk.hook` points to is made once, here. */
function stepsOf<H>(phase: Phase, links: readonly Link<H>[]): Step<H>[] {
  return links.map(({ plugin, hook }) => ({ at: { plugin, phase }, hook }))
}

/** A hook threw: a defect of a plugin, never of the client. Names the plugin and the phase. */
export class HookError extends Error {
  override name = 'HookError'
  readonly plugin: string
  readonly phase: Phase
  constructor(plugin: string, phase: Phase, cause: unknown) {
    super(`${plugin} failed in ${phase}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.plugin = plugin
    this.phase = phase
  }
}

/** The first answer stops; later hooks are not asked. */
export function firstAnswer<S, R extends object>(
  phase: Phase,
  links: readonly Link<Ask<S, Maybe<R>>>[],
): Chain<S, Maybe<R>> | null {
  if (links.length === 0) return null
  const steps = stepsOf(phase, links)
  return (exchange, subject) => ask(exchange, subject, 0)

  function ask(exchange: Exchange & Walk, subject: S, from: number): Maybe<R> {
    for (let at = from; at < steps.length; at++) {
      const answer = call(steps[at]!, exchange, subject)
      if (isPromise<R | void | undefined>(answer))
        return answer.then((settled) =>
          settled ? counted(exchange, steps[at]!.at, settled) : ask(exchange, subject, at + 1),
        )
      if (answer) return counted(exchange, steps[at]!.at, answer)
    }
    return undefined
  }
}

/** The answer, whose giver is noted. */
function counted<R extends object>(walk: Walk, by: Speaker, answer: R): R {
  const isRetry = 'kind' in answer && answer.kind === 'retry'
  if (!isRetry) walk.answeredBy ??= by
  note(walk, by, isRetry ? 'retry' : 'answer', null)
  return answer
}

/** Everyone is asked, one after the other; the first answer counts. */
export function everyoneAsked<S, R extends object>(
  phase: Phase,
  links: readonly Link<Ask<S, Maybe<R>>>[],
): Chain<S, Maybe<R>> | null {
  if (links.length === 0) return null
  const steps = stepsOf(phase, links)
  return (exchange, subject) => ask(exchange, subject, 0, undefined)

  function ask(exchange: Exchange & Walk, subject: S, from: number, before: R | undefined): Maybe<R> {
    let first = before
    for (let at = from; at < steps.length; at++) {
      const step = steps[at]!
      const answer = call(step, exchange, subject)
      if (isPromise<R | void | undefined>(answer)) {
        return answer.then((settled) =>
          ask(exchange, subject, at + 1, first ?? (settled ? counted(exchange, step.at, settled) : undefined)),
        )
      }
      if (answer) first ??= counted(exchange, step.at, answer)
    }
    return first
  }
}

/** Each hook is given what the one before it has made of the subject; `undefined` leaves it as it is. */
export function refine<S extends object>(
  phase: Phase,
  links: readonly Link<Ask<S, S | void | Promise<S | void>>>[],
): Chain<S, S | Promise<S>> | null {
  if (links.length === 0) return null
  const steps = stepsOf(phase, links)
  return (exchange, subject) => ask(exchange, subject, 0)

  function ask(exchange: Exchange & Walk, subject: S, from: number): S | Promise<S> {
    let refined = subject
    for (let at = from; at < steps.length; at++) {
      const answer = call(steps[at]!, exchange, refined)
      if (isPromise<S | void>(answer)) return answer.then((settled) => ask(exchange, settled || refined, at + 1))
      refined = answer ?? refined
    }
    return refined
  }
}

/**
 * A session's messages: down the list from the client, up from the upstream, each hook given what the one before has made of the
 * message. Null drops it, and nobody further on sees it.
 */
export function eachMessage(
  links: readonly Link<Ask<SessionMessage, SessionMessage | null | void>>[],
): Chain<SessionMessage, SessionMessage | null> | null {
  if (links.length === 0) return null
  const downwards = stepsOf('onMessage', links)
  const upwards = downwards.toReversed()
  return (exchange, message) => {
    let passed = message
    for (const step of message.from === 'client' ? downwards : upwards) {
      const made = call(step, exchange, passed)
      // The contract has it synchronous; a promise here is a defect of the plugin's.
      if (made instanceof Promise)
        throw new HookError(step.at.plugin, 'onMessage', new TypeError('it must answer at once'))
      if (made === null) return null
      passed = made ?? passed
    }
    return passed
  }
}

/** Everyone takes part, synchronously. What one throws goes to `failed` and does not keep the others from their turn. */
export function everyone<S>(
  phase: Phase,
  links: readonly Link<Ask<S, void>>[],
  failed: (exchange: Exchange, error: HookError) => void,
): Ask<S, void> | null {
  if (links.length === 0) return null
  return (exchange, subject) => {
    for (const link of links) {
      try {
        link.hook(exchange, subject)
      } catch (error) {
        failed(exchange, new HookError(link.plugin, phase, error))
      }
    }
  }
}

/** As `everyone`, for hooks that may take their time: they run one after the other. */
export function everyoneInTurn<S>(
  phase: Phase,
  links: readonly Link<Ask<S, void | Promise<void>>>[],
  failed: (exchange: Exchange, error: HookError) => void,
): Chain<S, void | Promise<void>> | null {
  if (links.length === 0) return null
  const steps = stepsOf(phase, links)
  return (exchange, subject) => ask(exchange, subject, 0)

  function ask(exchange: Exchange & Walk, subject: S, from: number): void | Promise<void> {
    for (let at = from; at < steps.length; at++) {
      const step = steps[at]!
      try {
        const pending = call(step, exchange, subject)
        if (isPromise<void>(pending)) {
          return pending
            .catch((error: unknown) => failed(exchange, asHookError(step.at, error)))
            .then(() => ask(exchange, subject, at + 1))
        }
      } catch (error) {
        failed(exchange, asHookError(step.at, error))
      }
    }
  }
}

/** Calls a hook; whatever it throws or rejects with becomes a HookError. */
function call<S, R>({ at, hook }: Step<Ask<S, R>>, exchange: Exchange & Walk, subject: S): R {
  exchange.hook = at
  try {
    const answer = hook(exchange, subject)
    if (!isThenable(answer)) return answer
    exchange.isPending = true
    // The hook's own answer, but a native promise whatever it was, and with another rejection.
    return Promise.resolve(answer).then(
      (settled) => {
        exchange.isPending = false
        return settled
      },
      (error: unknown) => {
        exchange.isPending = false
        throw asHookError(at, error)
      },
    ) as R
  } catch (error) {
    throw asHookError(at, error)
  }
}

function asHookError({ plugin, phase }: Speaker, error: unknown): HookError {
  return error instanceof HookError ? error : new HookError(plugin, phase, error)
}

function isThenable(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function'
}

/** Enough behind `call`, which lets nothing but native promises out. */
function isPromise<T>(answer: T | Promise<T>): answer is Promise<T> {
  return answer instanceof Promise
}
