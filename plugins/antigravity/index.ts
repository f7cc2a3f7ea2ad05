import { defineProvider, dropCredentials, type Claim, type Dialect } from 'postern/provider'

/** One service that is asked in two APIs. */
export default defineProvider({
  name: 'antigravity',
  description: "A service that speaks Anthropic's API under /v1 and Gemini's under /v1beta, with upstreams of its own.",
  url: null,
  prefix: '/antigravity',
  options: {
    credential: {
      type: 'string',
      enum: ['bearer', 'dialect'],
      default: 'bearer',
      description:
        "Where an upstream's key goes: bearer for OAuth tokens; dialect for where each API has it (x-api-key, x-goog-api-key).",
    },
  },
  speaks: ['anthropic', 'gemini'],
  dialect: ({ credential }, spoken) => {
    const [anthropic, gemini] = spoken as readonly [Dialect, Dialect] // in the order of `speaks`
    // Gemini's first: it takes of /v1 only what its own clients ask for.
    const dialects: readonly Dialect[] = [
      gemini,
      { ...anthropic, claims: (method, path, headers) => anthropic.claims(method, path, headers) ?? claimRest(path) },
    ]
    return credential === 'bearer' ? dialects.map(withBearer) : dialects
  },
})

/** What else is under /v1 is Anthropic's here, whether the client says so or not; `/models` is a short way to the list. */
function claimRest(path: string): Claim | null {
  if (path === '/models') return { operation: 'models', path: '/v1/models' }
  if (!path.startsWith('/v1/')) return null
  if (path === '/v1/models') return { operation: 'models' }
  return path.startsWith('/v1/models/')
    ? { operation: 'models', model: path.slice('/v1/models/'.length) }
    : { operation: 'other' }
}

function withBearer(dialect: Dialect): Dialect {
  return {
    ...dialect,
    authorize(outgoing, key) {
      // What the API itself wants beside the key: a version, a key moved out of the URL.
      dialect.authorize(outgoing, key)
      if (key === null) return
      dropCredentials(outgoing.headers)
      outgoing.headers.authorization = `Bearer ${key}`
    },
  }
}
