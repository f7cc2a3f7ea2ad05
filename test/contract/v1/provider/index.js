/** Frozen: a provider as it was written for version 1.0 of the contract. */
import { defineProvider, dropCredentials, jsonField } from 'postern/provider'

export default defineProvider({
  name: 'provider',
  contract: '1.0',
  description: 'An API of its own.',
  url: null,
  dialect: () => ({
    claims: (method, path) => (method === 'POST' && path === '/say' ? { operation: 'say' } : null),
    fields: { model: 'model', stream: 'stream' },
    authorize({ headers }, key) {
      dropCredentials(headers)
      headers['x-kept-key'] = key ?? undefined
    },
    usage(data, usage) {
      usage.output = Number(jsonField(data, 'tokens') ?? 0)
    },
    firstEvent: () => 'commit',
    refusal: (status, code, message) => ({ status, code, message }),
  }),
})
