import { definePlugin } from 'postern/plugin'
import { Counts } from './counts.ts'
import { fields, names, noMetadata, parse, type Field, type Metadata } from './fields.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** What is known of a request beside its facts. */
    metadata: Metadata
  }
}

const header = (field: Field) =>
  ({
    type: 'string',
    pattern: '^[a-z][a-z0-9-]*$',
    default: fields[field].header,
    description: `The header of ${field}.`,
  }) as const

/** One object of metadata for each exchange, and the headers by which existing apps know its fields. */
export default definePlugin({
  name: 'metadata-bridge',
  sharesState: 'store',
  config: {
    type: 'object',
    description: 'Tells existing apps, in the headers they know, what the gateway knows of a request as facts.',
    additionalProperties: false,
    properties: {
      metadata_bridge_enabled: {
        type: 'boolean',
        default: true,
        description:
          'Whether answers carry the headers. The headers of requests are read and counted in either case, so that the count can show who still sends them.',
      },
      headers: {
        type: 'object',
        additionalProperties: false,
        default: {},
        description: 'The names of the headers.',
        properties: {
          is_max_tokens_one_haiku_request: header('is_max_tokens_one_haiku_request'),
          thinking_enabled: header('thinking_enabled'),
          prefetched_sticky_account_id: header('prefetched_sticky_account_id'),
          prefetched_sticky_group_id: header('prefetched_sticky_group_id'),
          single_account_retry: header('single_account_retry'),
          account_switch_count: header('account_switch_count'),
        },
      },
    },
  },
  mayRead: ['model', 'stream', 'pin'],
  writes: ['metadata'],
  async setup(context) {
    const { config, store, log } = context
    // It outlives a reload: what was counted is not lost with a gateway.
    const counts = await context.shared(
      'counts',
      () => new Counts(store, log),
      (open) => open.flush(),
    )
    counts.store = store
    context.every(1000, () => counts.flush())
    const headers = names.map((field) => [field, config.headers[field]] as const)

    /** What only the client can have told, for fields that nothing else has filled. */
    function fallBack(metadata: Metadata, sent: Readonly<Record<string, string | string[] | undefined>>): void {
      for (const [field, name] of headers) {
        const told = sent[name]
        if (metadata[field] !== null || typeof told !== 'string') continue
        const value = parse(field, told)
        if (value === null) continue
        Object.assign(metadata, { [field]: value })
        counts.add('metadata_fallback')
        counts.add(`metadata_fallback_${field}`)
      }
    }

    return {
      onRequest(exchange) {
        exchange.facts.metadata = noMetadata()
        counts.add('metadata_reads')
      },
      onBody({ facts, body }) {
        const metadata = facts.metadata!
        const thinking = body.get('thinking.type')
        metadata.thinking_enabled = thinking === 'enabled' || thinking === 'adaptive'
        metadata.is_max_tokens_one_haiku_request =
          facts.stream !== true && body.get('max_tokens') === 1 && (facts.model?.includes('haiku') ?? false)
      },
      onUpstreamRequest({ facts, headers: sent, attempt, failures, upstream }, outgoing) {
        const metadata = facts.metadata!
        if (attempt === 1) {
          metadata.prefetched_sticky_account_id = facts.pin?.upstream ?? null
          fallBack(metadata, sent)
        }
        metadata.account_switch_count = failures.filter((failure, at) => {
          const next = failures[at + 1]?.upstream ?? upstream
          return next !== failure.upstream
        }).length
        metadata.single_account_retry = attempt > 1 && metadata.account_switch_count === 0
        // They are between the app and the gateway: no upstream is told.
        for (const [, name] of headers) if (outgoing.headers[name] !== undefined) outgoing.headers[name] = undefined
      },
      onResponse: config.metadata_bridge_enabled
        ? ({ facts }, head) => {
            if (facts.metadata === null) return
            for (const [field, name] of headers) {
              const value = facts.metadata[field]
              if (value !== null) head.headers[name] = String(value)
            }
          }
        : undefined,
    }
  },
})
