import { definePlugin, type Upstream } from 'postern/plugin'
import { addressOf, close, open } from './listen.ts'

/** Adds an upstream that answers in three dialects without a network. It listens on a socket like any other. */
export default definePlugin({
  name: 'demo',
  config: {
    type: 'object',
    description: 'An upstream that answers in three dialects, without a network and without a key.',
    additionalProperties: false,
    properties: {
      listen: {
        type: 'string',
        format: 'listen',
        default: '127.0.0.1:0',
        description: 'Where the demo upstream listens. Port 0 takes any that is free.',
      },
      latency: {
        type: 'string',
        format: 'duration',
        default: '0s',
        description: 'Time to the first byte of an answer; a request says otherwise with x-demo-latency. At most 1h.',
      },
      providers: {
        type: 'array',
        items: { type: 'string' },
        default: ['openai', 'anthropic', 'gemini'],
        description: 'The mounted providers it answers for, by name. It speaks the dialects of these three.',
      },
    },
  },
  reads: ['provider', 'model'],

  async setup(context) {
    const { listen, latency, providers } = context.config
    if (latency > longestLatency) throw new Error('latency is at most 1h.')
    const server = await context.shared(`demo:${listen}`, () => open(listen), close)
    const url = addressOf(server)
    const upstreams = new Map(providers.map((provider) => [provider, upstreamOf(provider, url)]))
    context.log.debug({ url: url.href }, 'the demo upstream listens')
    return {
      /** `demo…` goes to the demo alone. It stands in for an API that has no upstream, never for one that has failed. */
      rankUpstreams({ facts, failures }, candidates) {
        const demo = upstreams.get(facts.provider?.name ?? '')
        if (demo === undefined) return candidates
        if (facts.model?.startsWith('demo')) return [demo]
        const isAlone = candidates.length === 0 && failures.every(({ upstream }) => upstream === demo)
        return isAlone ? [demo] : candidates
      },
      /** An upstream without a key is passed the client's own. The demo needs none, so it is shown none. */
      onUpstreamRequest({ upstream }, { headers }) {
        if (upstream === null || upstreams.get(upstream.provider) !== upstream) return
        for (const name of credentials) delete headers[name]
        if (latency > 0) headers['x-demo-latency'] ??= String(latency)
      },
    }
  },
})

/** What x-demo-latency takes. */
const longestLatency = 3_600_000
const credentials = ['authorization', 'x-api-key', 'x-goog-api-key']

function upstreamOf(provider: string, url: URL): Upstream {
  const priority = Number.MAX_SAFE_INTEGER
  // It listens in this very process.
  return { name: 'demo', provider, url, key: null, models: null, priority, slots: null, allowsPrivate: true }
}
