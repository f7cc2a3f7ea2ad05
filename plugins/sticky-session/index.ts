import { definePlugin } from 'postern/plugin'
import { responseIdOf } from './answer.ts'
import { Bindings } from './bindings.ts'
import { config } from './config.ts'
import { Counters } from './counters.ts'
import { metricsOf } from './metrics.ts'
import { compileNotes, unknown } from './notes.ts'
import { isFault, outcomeOf } from './pin.ts'
import { Sessions } from './sessions.ts'

/** How often what was counted goes to the store, in ms. */
const flushEvery = 5000

/** Keeps a conversation with the upstream that has its prompt cached, and a stored response with the one that has it. */
export default definePlugin({
  name: 'sticky-session',
  sharesState: 'store',
  config,
  reads: ['claim'],
  // Its type belongs to the plugins that admit clients; null where there is none.
  mayRead: ['principal' as never],
  writes: ['session', 'pin', 'sticky'],
  setup(context) {
    const { config, log, store } = context
    const events = metricsOf(context.metrics)
    const counters = new Counters(store, log, (event) => events.with({ event }).inc())
    const bindings = new Bindings(context, counters, {
      readsOld: config.session_hash_read_old_fallback,
      writesOld: config.session_hash_dual_write_old,
      refresh: config.refresh,
      accounts: config.legacy_accounts,
    })
    const sessions = new Sessions(bindings, counters, config, log)
    const notesOf = compileNotes(config)

    if (config.session_hash_dual_write_old && !config.session_hash_read_old_fallback) {
      counters.add('alerts')
      log.warn(
        { session_hash_dual_write_old: true, session_hash_read_old_fallback: false },
        'old session keys are written and not read: turn session_hash_dual_write_old off first, or the other one on again',
      )
    }
    context.every(flushEvery, () => counters.flush())
    // What was counted since then leaves with the gateway, which waits for its queues.
    const last = context.queue<null>({ capacity: 1 }, () => counters.flush())
    context.signal.addEventListener('abort', () => last.push(null), { once: true })

    return {
      onBody(exchange) {
        notesOf(exchange)
      },
      rankUpstreams(exchange, candidates) {
        const notes = notesOf(exchange)
        if (notes.known) return sessions.rank(exchange, notes, candidates)
        return sessions.lookUp(notes, candidates).then((known) => {
          notes.known = known
          return sessions.rank(exchange, notes, candidates)
        })
      },
      onUpstreamResult(exchange, result) {
        const notes = exchange.facts.sticky
        const upstream = exchange.upstream?.name
        if (!notes || upstream === undefined) return
        const outcome = outcomeOf(result)
        if (outcome === 'served') sessions.bind(exchange, notes, upstream)
        else if (outcome === 'spent' && upstream === notes.known?.session) notes.isSpent = true
      },
      onEvent: config.bind_responses
        ? ({ facts: { sticky: notes } }, data) => {
            if (!notes?.bindResponse || notes.events === 0 || notes.served === null) return
            notes.events--
            const id = responseIdOf(data)
            if (id === null) return
            notes.events = 0
            bindings.write([notes.bindResponse(id, notes.served)])
          }
        : undefined,
      onEnd({ facts: { sticky: notes }, error }) {
        if (!notes?.session || notes.known === unknown) return
        const isBroken = notes.served !== null && error !== null && isFault(error)
        if (isBroken || (notes.served === null && notes.isSpent)) bindings.forget(notes.session)
      },
    }
  },
})
