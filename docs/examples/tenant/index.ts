import { definePlugin, refuse } from 'postern/plugin'

declare module 'postern/plugin' {
  interface Facts {
    /** For whom the app calls. */
    tenant: string
  }
}

const names = { type: 'array', items: { type: 'string' } } as const

/** Lets known tenants in, with the models they have, and says in the log what each has used. */
export default definePlugin({
  name: 'tenant',
  contract: '1.0',
  config: {
    type: 'object',
    description: 'Lets known tenants in, each with the models it has.',
    additionalProperties: false,
    required: ['tenants'],
    properties: {
      header: { type: 'string', default: 'x-tenant', description: 'The header that names the tenant, in lower case.' },
      tenants: { type: 'object', description: 'Models by tenant.', additionalProperties: names },
    },
  },
  reads: ['model', 'usage'],
  writes: ['tenant'],
  setup({ config, log }) {
    const models = new Map(Object.entries(config.tenants).map(([tenant, names]) => [tenant, new Set(names)]))
    return {
      onRequest({ headers, facts }) {
        const tenant = String(headers[config.header] ?? '')
        if (!models.has(tenant)) return refuse(403, 'WHOSE', `Name a known tenant in ${config.header}`)
        facts.tenant = tenant
      },
      onBody({ facts: { tenant, model } }) {
        if (!models.get(tenant ?? '')?.has(model ?? '')) return refuse(404, 'NOT_YOURS', `${tenant} has no ${model}`)
      },
      onEnd({ facts: { tenant, usage } }) {
        log.info({ tenant, tokens: usage?.output ?? 0 }, 'a tenant has used')
      },
    }
  },
})
