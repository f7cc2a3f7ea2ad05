import { resolve } from 'node:path'
import { definePlugin } from 'postern/plugin'
import { keepInStep } from './aside.ts'
import { config } from './config.ts'
import { explanationOf } from './explain.ts'
import { addPages } from './pages.ts'
import { openRoom } from './room.ts'

/** Shows operators what happens. On the path of an exchange it takes notes; everything else is made when somebody looks. */
export default definePlugin({
  name: 'console',
  config,
  reads: ['provider', 'claim'],
  mayRead: ['model', 'stream', 'principal', 'session', 'pin', 'usage', 'decision', 'slots'],
  writes: ['console_notes'],
  async setup(context) {
    const { config, upstreams, log } = context
    const room = await context.shared(
      'room',
      () => openRoom(config.keep),
      ({ events }) => events.close(),
    )
    const { trail, health, asides, uses } = room
    trail.limitTo(config.keep)
    health.meet(upstreams)
    const names = () => [...upstreams.map(({ name }) => name), ...health.names]
    await keepInStep(asides, names, (name) => health.woken(name), context)
    await addPages(context, room, {
      base: config.path,
      errors: config.errors === '' ? null : resolve(config.errors),
    })

    return {
      onRequest: (exchange) => void trail.notesOf(exchange),
      rankUpstreams(exchange, candidates) {
        trail.ranked(exchange, candidates)
        health.considered(candidates)
        if (asides.isEmpty) return candidates
        const now = Date.now()
        return candidates.filter((upstream) => {
          const until = asides.until(upstream.name, now)
          if (until !== null) exchange.passOver(upstream, 'was set aside by an operator', { wait: until - now })
          return until === null
        })
      },
      onUpstreamRequest(exchange) {
        trail.chosen(exchange)
      },
      onUpstreamResult(exchange, result) {
        trail.told(exchange, result)
        health.note(exchange, result)
      },
      onResponse(exchange, head) {
        trail.answered(exchange, head.body !== null)
      },
      onEnd(exchange) {
        const ended = trail.ended(exchange)
        uses.add(ended)
        // Made when a line of it is written, and of a level that is off none is.
        log.debug({ exchange: ended.id, trail: { toJSON: () => explanationOf(ended) } }, 'the trail of an exchange')
        if (ended.passedOver.length > 0) health.passedOver(ended.passedOver)
        for (const { passedOver } of ended.turns) if (passedOver.length > 0) health.passedOver(passedOver)
      },
    }
  },
})
