import { definePlugin } from 'postern/plugin'
import { admission } from './caller.ts'
import { config } from './config.ts'
import { Load } from './load.ts'
import { shareHolder, Slots } from './slots.ts'
import { UpstreamSlots } from './upstream.ts'

/** Limits how many exchanges run at the same time: an exchange takes a slot of its caller's, and one of each upstream it asks. */
export default definePlugin({
  name: 'concurrency',
  sharesState: 'store',
  config,
  mayRead: ['principal', 'pin', 'session'],
  writes: ['load', 'slots'],
  async setup(context) {
    const { ttl } = context.config
    if (ttl < shortestTtl) throw new Error(`a ttl below ${shortestTtl}ms cannot be renewed in time`)
    if (ttl > longestTtl) throw new Error('a ttl above 1d keeps the slots of the dead')
    const slots = new Slots(context, await shareHolder(context))
    const upstreams = new UpstreamSlots(slots, new Load(slots), context.config, context.wants('load'))
    const admit = admission(slots, context.config)
    return {
      onBody: admit,
      rankUpstreams: (exchange, candidates) => upstreams.rank(exchange, candidates),
      onUpstreamRequest(exchange) {
        // A body that is not held had no onBody.
        const pending = admit(exchange)
        if (!pending) return upstreams.take(exchange)
        return Promise.resolve(pending).then((refusal) => refusal ?? upstreams.take(exchange))
      },
      onEnd({ facts }) {
        const held = facts.slots
        if (held === null) return
        upstreams.release(held)
        if (held.caller) slots.release(held.caller)
      },
    }
  },
})

/** In ms. A pause of the process that is longer than two thirds of it loses slots. */
const shortestTtl = 100
/** In ms. */
const longestTtl = 86_400_000
