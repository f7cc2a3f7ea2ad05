/** One exchange's walk, from top to bottom. This file is the architecture. */
import { ask, pause, remember, type Answer } from './ask.ts'
import { JsonBody } from './body/body.ts'
import { takeBody } from './body/take.ts'
import { deliver, giveUp } from './deliver.ts'
import { fault } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import { logExchange } from './observe/line.ts'
import type { Upstream } from './plugin.ts'
import { refusalOf, refuseForWantOfUpstream } from './refusal.ts'

/** An exchange asks at most this many upstreams, whatever its plugins say. */
const mostAttempts = 8

/** Rankings, those included after which a plugin would not have the first upstream asked. */
const mostRounds = 64

const none: readonly never[] = Object.freeze([])

/** Walks an exchange through its gateway. Never rejects: the answer, or the end of the connection, says what happened. */
export async function handle(exchange: LiveExchange): Promise<void> {
  const { route, gateway } = exchange
  try {
    await deliver(exchange, await answerTo(exchange))
  } catch (error) {
    exchange.abandon()
    await deliver(exchange, refusalOf(exchange, error)).catch((again: unknown) => giveUp(exchange, again))
  } finally {
    logExchange(exchange)
    gateway.metrics.ended(exchange)
    if (route.onEnd) await route.onEnd(exchange)
    gateway.leave(exchange)
  }
}

async function answerTo(exchange: LiveExchange): Promise<Answer> {
  const { route, gateway, facts } = exchange
  const early = route.onRequest && (await route.onRequest(exchange))
  exchange.checkedAt = performance.now()
  if (early) return early
  const tooMuch = gateway.overload.admit(facts.priority, Number(exchange.headers['content-length'] ?? 0))
  if (tooMuch) return tooMuch
  if (!route.provider) return fault('NO_ROUTE', `${exchange.method} ${exchange.path}`)
  if (facts.claim?.websocket === 'turns' && !exchange.far)
    return fault('UPGRADE_REQUIRED', '', { upgrade: 'websocket' })

  const taken = exchange.far ? exchange.far.take(exchange) : await takeBody(exchange)
  if (taken.kind === 'switch') return taken
  exchange.body = taken instanceof JsonBody ? taken.tell(exchange) : taken
  exchange.readAt = performance.now()
  const informed = route.onBody && exchange.body.kind === 'json' && (await route.onBody(exchange))
  exchange.informedAt = performance.now()
  if (informed) return informed
  exchange.waits =
    exchange.far === null && facts.stream === true && (route.provider.dialect.streamsEvents?.(exchange.query) ?? true)

  let last: Answer | null = null
  let avoided: readonly Upstream[] = none
  for (let round = 0; exchange.attempt < mostAttempts && round < mostRounds; round++) {
    if (exchange.passedOver.length > 0) exchange.passedOver = []
    const candidates = without(avoided, gateway.candidates(route.provider, facts.model))
    const [upstream] = route.rankUpstreams ? await route.rankUpstreams(exchange, candidates) : candidates
    if (!upstream && avoided.length > 0) {
      // Who was to wait for its turn is better than nobody.
      avoided = none
      continue
    }
    if (!upstream) return last ?? refuseForWantOfUpstream(exchange, candidates)
    const answer = await ask(exchange, upstream, last)
    if (answer.kind === 'retry') {
      avoided = [...avoided, upstream]
      await pause(exchange, answer.after)
      continue
    }
    last = answer
    if (last.kind !== 'answer') return last
    gateway.metrics.attempted(exchange, last.result)
    const retry = route.onUpstreamResult && (await route.onUpstreamResult(exchange, last.result))
    if (!retry || exchange.body.kind === 'stream' || exchange.remainder) return last
    remember(exchange, last.result)
    await pause(exchange, retry.after)
  }
  return last ?? refuseForWantOfUpstream(exchange, [])
}

/** An upstream that a plugin would not have asked has its next turn when all others have had theirs. */
function without(avoided: readonly Upstream[], candidates: readonly Upstream[]): readonly Upstream[] {
  if (avoided.length === 0) return candidates
  const others = candidates.filter((candidate) => !avoided.includes(candidate))
  return others.length > 0 ? others : candidates
}
