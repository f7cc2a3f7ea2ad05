import { definePlugin } from 'postern/plugin'
import { bodyHeaders, sdkHeaders } from './known.ts'
import { keepOnly, rule } from './rule.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** The last attempt that an upstream has answered. Where it is not the exchange's last, the answer is the gateway's own. */
    answered_attempt: number
  }
}

const names = (standard: readonly string[], description: string) =>
  ({
    type: 'array',
    items: { type: 'string', minLength: 1, pattern: "^[A-Za-z0-9!#$%&'+.^_`|~-]*\\*?$" },
    default: standard,
    description,
  }) as const

/** Which headers travel between client and upstream. What the gateway answers itself is not touched. */
export default definePlugin({
  name: 'header-filter',
  config: {
    type: 'object',
    description: "Lets pass only those headers of an upstream's answer that clients need.",
    additionalProperties: false,
    properties: {
      defaults: {
        type: 'boolean',
        default: true,
        description: 'Whether the headers that SDKs and caches read pass without being named in allow.',
      },
      allow: names([], 'Headers of the answer that pass as well; * at the end of a name matches any rest.'),
      remove: names([], 'Headers of the answer that never pass; wins over allow and defaults.'),
      request: {
        type: 'object',
        description: 'The same for the headers that the client sends towards the upstream.',
        additionalProperties: false,
        default: {},
        properties: {
          allow: names(['*'], 'Headers of the request that pass.'),
          remove: names([], 'Headers of the request that never pass; wins over allow.'),
        },
      },
    },
  },
  writes: ['answered_attempt'],
  setup({ config }) {
    const { defaults, allow, remove, request } = config
    const kept = [...bodyHeaders, 'x-postern-exchange']
    const ofAnswers = rule({ kept, remove, allow: defaults ? [...sdkHeaders, ...allow] : allow })
    const ofRequests = rule({ kept: bodyHeaders, ...request })
    // The way of most gateways: then the phase has no hook of this plugin's, and costs nothing.
    const everyRequestPasses = request.remove.length === 0 && request.allow.includes('*')
    return {
      onUpstreamRequest: everyRequestPasses
        ? undefined
        : (_exchange, outgoing) => {
            outgoing.headers = keepOnly(outgoing.headers, ofRequests)
          },
      onUpstreamResult({ facts, attempt }, { kind }) {
        if (kind === 'response') facts.answered_attempt = attempt
      },
      onResponse({ facts, attempt }, head) {
        if (facts.answered_attempt === attempt) head.headers = keepOnly(head.headers, ofAnswers)
      },
    }
  },
})
