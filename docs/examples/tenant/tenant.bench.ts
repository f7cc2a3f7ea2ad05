import { bench, rehearse } from 'postern/testing'
import tenant from './index.ts'

const names = Array.from({ length: 1000 }, (_, at) => [`t${at}`, ['small']] as const)
const listed = { tenant: { tenants: Object.fromEntries(names) } }
await using rehearsal = await rehearse({ plugins: ['openai', listed] }, { plugins: [tenant] })
const exchange = await rehearsal.exchange({ path: '/v1/models', headers: { 'x-tenant': 't999' } })
const hooks = rehearsal.hooks(tenant)

await bench('a thousand tenants', {
  'compiled in setup': () => hooks.onRequest?.(exchange),
  'the list walked': () => names.find(([name]) => name === exchange.headers['x-tenant']),
})
