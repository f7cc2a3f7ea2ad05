import { definePlugin, retry, type Failure } from 'postern/plugin'

/** Asks another upstream when one fails, before the client was told anything. */
export default definePlugin({
  name: 'failover',
  config: {
    type: 'object',
    description:
      'Asks the next upstream when one cannot be reached or answers with an error that another may not have.',
    additionalProperties: false,
    properties: {
      attempts: {
        type: 'integer',
        minimum: 1,
        maximum: 8,
        default: 3,
        description: 'How many times upstreams are asked for one exchange at most, the first included.',
      },
      statuses: {
        type: 'array',
        items: { type: 'integer', minimum: 400, maximum: 599 },
        default: [],
        description:
          'Statuses that lead to another attempt. Empty: those the provider knows as worth it (401, 402, 403, 408, 429, 5xx).',
      },
    },
  },
  setup({ config, log }) {
    const statuses = config.statuses.length > 0 ? new Set(config.statuses) : null
    return {
      /** Not again the ones that failed; but where no other is left, one that may have recovered. */
      rankUpstreams({ failures }, candidates) {
        if (failures.length === 0) return candidates
        const fresh = candidates.filter((candidate) => !failures.some(({ upstream }) => upstream === candidate))
        if (fresh.length > 0) return fresh
        const last = failures.at(-1)
        return last && mayRecover(last) ? candidates.filter((candidate) => candidate === last.upstream) : []
      },
      onUpstreamResult({ id, attempt, upstream }, result) {
        const status = result.kind === 'response' ? result.status : null
        const worthIt = statuses && status !== null ? statuses.has(status) : result.judgement !== 'final'
        if (!worthIt || attempt >= config.attempts) return
        const reason = result.kind === 'failure' ? (result.error.code ?? result.error.message) : null
        log.warn(
          { exchange: id, account_id: upstream?.name, status_code: status, error: reason, retry_count: attempt },
          'failover: another attempt',
        )
        return retry()
      },
    }
  },
})

/** A broken connection or a failing server may be well a moment later; a bad key or a spent quota is not. */
function mayRecover({ status }: Failure): boolean {
  return status === null || status >= 500
}
