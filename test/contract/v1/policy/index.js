/** Frozen: a plugin as it was written for version 1.0 of the contract. It may never have to change while that is kept. */
import { definePlugin, refuse } from 'postern/plugin'

export default definePlugin({
  name: 'policy',
  contract: '1.0',
  config: {
    type: 'object',
    description: 'Tells of every phase.',
    additionalProperties: false,
    properties: {
      wait: { type: 'string', format: 'duration', default: '1s', description: 'A duration.' },
      size: { type: 'string', format: 'size', default: '1KiB', description: 'A size.' },
    },
  },
  mayRead: ['model'],
  writes: ['kept'],
  async setup(context) {
    const { config, log, metrics, store, database, upstreams, signal } = context
    if (config.wait !== 1000 || config.size !== 1024 || database !== null || upstreams.length !== 1)
      throw new Error('1.0')
    if (signal.aborted || typeof context.every !== 'function') throw new Error('1.0')
    const held = await context.shared(
      'thing',
      () => 'shared',
      () => {},
    )
    const ended = context.queue({ capacity: 10 }, (fields) => log.info(fields, 'ended'))
    const count = metrics.counter('postern_policy_total', 'Exchanges.')
    await store.set({ key: 'policy', value: 'x', ttl: 60_000 })
    const phases = new WeakMap()
    const note = (exchange, phase) => phases.set(exchange, [...(phases.get(exchange) ?? []), phase])
    return {
      onRequest(exchange) {
        note(exchange, 'onRequest')
        count.inc()
        return exchange.headers['x-stop'] ? refuse(429, 'STOP', 'no more', { 'retry-after': '1' }) : undefined
      },
      async onBody(exchange) {
        note(exchange, 'onBody')
        exchange.facts.kept = exchange.body.get('model')
        exchange.body.delete('secret')
      },
      rankUpstreams(exchange, candidates) {
        note(exchange, 'rankUpstreams')
        return candidates
      },
      onUpstreamRequest(exchange, outgoing) {
        note(exchange, 'onUpstreamRequest')
        outgoing.body.set('added', true)
      },
      onUpstreamResult(exchange) {
        note(exchange, 'onUpstreamResult')
      },
      onResponse(exchange, head) {
        note(exchange, 'onResponse')
        head.headers['x-phases'] = phases.get(exchange).join(' ')
      },
      onEvent() {},
      editEvent: (_exchange, data) => (data.includes('"ok"') ? Buffer.from('{"ok":"edited"}') : undefined),
      onEnd(exchange) {
        const { kept, model } = exchange.facts
        if (kept !== null) ended.push({ kept, model, shared: held })
      },
    }
  },
})
