/**
 * Four ways in which several answers become one. A chain is compiled once per gateway from the hooks that joined a phase, in
 * the order in which they shall be asked; a phase nobody joined is null and costs nothing. Only promises are awaited.
 */
import type { Exchange, Maybe, Phase, SessionMessage } from './plugin.ts'

/** A hook and the plugin it belongs to. */
export interface Link<H> {
  readonly plugin: string
  readonly hook: H
}

export type Ask<S, R> = (exchange: Exchange, subject: S) => R

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
): Ask<S, Maybe<R>> | null {
  if (links.length === 0) return null
  return (exchange, subject) => ask(exchange, subject, 0)

  function ask(exchange: Exchange, subject: S, from: number): Maybe<R> {
    for (let at = from; at < links.length; at++) {
      const answer = call(phase, links[at]!, exchange, subject)
      if (isPromise<R | void | undefined>(answer))
        return answer.then((settled) => (settled ? settled : ask(exchange, subject, at + 1)))
      if (answer) return answer
    }
    return undefined
  }
}

/** Everyone is asked, one after the other; the first answer counts. */
export function everyoneAsked<S, R extends object>(
  phase: Phase,
  links: readonly Link<Ask<S, Maybe<R>>>[],
): Ask<S, Maybe<R>> | null {
  if (links.length === 0) return null
  return (exchange, subject) => ask(exchange, subject, 0, undefined)

  function ask(exchange: Exchange, subject: S, from: number, first: R | undefined): Maybe<R> {
    let counted = first
    for (let at = from; at < links.length; at++) {
      const answer = call(phase, links[at]!, exchange, subject)
      if (isPromise<R | void | undefined>(answer)) {
        return answer.then((settled) => ask(exchange, subject, at + 1, counted ?? (settled || undefined)))
      }
      counted ??= answer ?? undefined
    }
    return counted
  }
}

/** Each hook is given what the one before it has made of the subject; `undefined` leaves it as it is. */
export function refine<S extends object>(
  phase: Phase,
  links: readonly Link<Ask<S, S | void | Promise<S | void>>>[],
): Ask<S, S | Promise<S>> | null {
  if (links.length === 0) return null
  return (exchange, subject) => ask(exchange, subject, 0)

  function ask(exchange: Exchange, subject: S, from: number): S | Promise<S> {
    let refined = subject
    for (let at = from; at < links.length; at++) {
      const answer = call(phase, links[at]!, exchange, refined)
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
): Ask<SessionMessage, SessionMessage | null> | null {
  if (links.length === 0) return null
  const upwards = links.toReversed()
  return (exchange, message) => {
    let passed = message
    for (const link of message.from === 'client' ? links : upwards) {
      const made = call('onMessage', link, exchange, passed)
      // The contract has it synchronous; a promise here is a defect of the plugin's.
      if (made instanceof Promise)
        throw new HookError(link.plugin, 'onMessage', new TypeError('it must answer at once'))
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
): Ask<S, void | Promise<void>> | null {
  if (links.length === 0) return null
  return (exchange, subject) => ask(exchange, subject, 0)

  function ask(exchange: Exchange, subject: S, from: number): void | Promise<void> {
    for (let at = from; at < links.length; at++) {
      try {
        const pending = call(phase, links[at]!, exchange, subject)
        if (isPromise<void>(pending)) {
          return pending
            .catch((error: unknown) => failed(exchange, asHookError(links[at]!.plugin, phase, error)))
            .then(() => ask(exchange, subject, at + 1))
        }
      } catch (error) {
        failed(exchange, asHookError(links[at]!.plugin, phase, error))
      }
    }
  }
}

/** Calls a hook; whatever it throws or rejects with becomes a HookError. */
function call<S, R>(phase: Phase, link: Link<Ask<S, R>>, exchange: Exchange, subject: S): R {
  try {
    const answer = link.hook(exchange, subject)
    if (!isThenable(answer)) return answer
    // The hook's own answer, but a native promise whatever it was, and with another rejection.
    return Promise.resolve(answer).catch((error: unknown) => {
      throw asHookError(link.plugin, phase, error)
    }) as R
  } catch (error) {
    throw asHookError(link.plugin, phase, error)
  }
}

function asHookError(plugin: string, phase: Phase, error: unknown): HookError {
  return error instanceof HookError ? error : new HookError(plugin, phase, error)
}

function isThenable(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function'
}

/** Enough behind `call`, which lets nothing but native promises out. */
function isPromise<T>(answer: T | Promise<T>): answer is Promise<T> {
  return answer instanceof Promise
}
