import { defineProvider } from 'postern/provider'

/** An API that speaks as OpenAI's does, but for where its key goes and what it calls an overload. */
export default defineProvider({
  name: 'lighthouse',
  contract: '1.0',
  description: 'The API of Lighthouse, which is compatible with that of OpenAI.',
  url: 'https://api.lighthouse.example',
  prefix: '/lighthouse',
  speaks: ['openai'],
  options: {
    header: { type: 'string', default: 'x-lighthouse-key', description: 'Where its key goes.' },
  },
  dialect: ({ header }, [openai]) => {
    if (!openai) throw new Error('openai is built in')
    return {
      ...openai,
      authorize(outgoing, key) {
        openai.authorize(outgoing, key)
        if (key !== null) outgoing.headers = { ...outgoing.headers, authorization: undefined, [header]: key }
      },
      judge: (result) => (result.kind === 'response' && result.status < 400 ? 'final' : 'elsewhere'),
    }
  },
})
