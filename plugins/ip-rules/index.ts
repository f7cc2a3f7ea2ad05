import { addressSet, definePlugin, refuse } from 'postern/plugin'

const patterns = (description: string) =>
  ({ type: 'array', items: { type: 'string', format: 'address' }, default: [], description }) as const

/** Who may come in, by address. Deny wins over allow; an address that cannot be read is denied. */
export default definePlugin({
  name: 'ip-rules',
  config: {
    type: 'object',
    description: 'Admits and refuses clients by their address.',
    additionalProperties: false,
    properties: {
      deny: patterns('Addresses and ranges that are refused.'),
      allow: patterns('If not empty, only these addresses and ranges are admitted.'),
    },
  },
  setup({ config, log }) {
    const denied = addressSet(config.deny)
    const allowed = addressSet(config.allow)
    // The client is told no more than this; the log says which rule it was.
    const refusal = refuse(403, 'ACCESS_DENIED', 'Access denied')
    return {
      onRequest({ id, client }) {
        const rule = denied.has(client) ? 'deny' : allowed.size > 0 && !allowed.has(client) ? 'allow' : null
        if (rule === null) return
        log.warn({ exchange: id, client, rule }, 'refused by its address')
        return refusal
      },
    }
  },
})
