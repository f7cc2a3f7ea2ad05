import { defineProvider, dropCredentials, jsonField } from 'postern/provider'

/** An API in a dialect of its own: POST /write, events that are JSON, errors inside a 200. */
export default defineProvider({
  name: 'quill',
  contract: '1.0',
  description: 'The API of Quill.',
  url: 'https://api.quill.example',
  prefix: '/quill',
  dialect: () => ({
    claims: (method, path) => (method === 'POST' && path === '/write' ? { operation: 'write' } : null),
    fields: { model: 'pen', stream: 'live' },
    authorize({ headers }, key) {
      if (key === null) return
      dropCredentials(headers)
      headers['x-quill-key'] = key
    },
    usage(data, usage) {
      usage.input += Number(jsonField(data, 'ink.read') ?? 0)
      usage.output += Number(jsonField(data, 'ink.written') ?? 0)
    },
    firstEvent: (data) => (jsonField(data, 'blot') === undefined ? 'commit' : { status: 503 }),
    errorEvent: (error) => `event: blot\ndata: ${JSON.stringify(error)}\n\n`,
    refusal: (status, code, message) => ({ blot: { status, code, message } }),
  }),
})
