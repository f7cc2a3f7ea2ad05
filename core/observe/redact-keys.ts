/** Which names stand before a secret: one table for JSON keys, headers, URL parameters and free text. */

/** How a name is judged. What a set of rules has judged once it remembers, for as many names as `mostVerdicts`. */
export interface KeyRules {
  /** A JSON key or a header name whose value is nobody's business. */
  readonly isSecret: (name: string) => boolean
  /** The same for a name found in running text, where "tokens: 5" and "session: closed" are plain words. */
  readonly isSecretInText: (name: string) => boolean
}

/** Names come from clients, so what is remembered of them is bounded. */
const mostVerdicts = 1024
/** A longer name is judged anew each time. */
const longestRemembered = 128

/** Compiles the rules; `extra` are further exact names. */
export function compileKeyRules(extra: readonly string[] = []): KeyRules {
  const exact = new Set([...secretNames, ...extra].map(squash))
  return {
    isSecret: remembered((name) => {
      const squashed = squash(name)
      if (counters.has(squashed)) return false
      return exact.has(squashed) || parts.some((part) => squashed.includes(part)) || hasSecretEnd(name)
    }),
    isSecretInText: remembered((name) => {
      const squashed = squash(name)
      if (counters.has(squashed)) return false
      return exact.has(squashed) || textEnds.some((end) => squashed.endsWith(end)) || hasSecretEnd(name)
    }),
  }
}

/** Numbers about tokens, which are no tokens: what APIs call their limits and counts. */
const counters = new Set(
  [
    'max_tokens',
    'max_output_tokens',
    'max_input_tokens',
    'max_completion_tokens',
    'max_tokens_to_sample',
    'budget_tokens',
    'prompt_tokens',
    'completion_tokens',
    'input_tokens',
    'output_tokens',
    'total_tokens',
    'reasoning_tokens',
    'cached_tokens',
    'audio_tokens',
    'text_tokens',
    'image_tokens',
    'accepted_prediction_tokens',
    'rejected_prediction_tokens',
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
    'ephemeral_5m_input_tokens',
    'ephemeral_1h_input_tokens',
    'prompt_tokens_details',
    'completion_tokens_details',
    'input_tokens_details',
    'output_tokens_details',
    'token_count',
    'prompt_token_count',
    'candidates_token_count',
    'thoughts_token_count',
    'cached_content_token_count',
    'tool_use_prompt_token_count',
    'total_token_count',
    'count_tokens',
  ].map(squash),
)

const secretNames = [
  'private_key',
  'jwt',
  'signature',
  'access_key_id',
  'secret_access_key',
  'authorization_code',
  'code_verifier',
  'credential',
  'credentials',
]

/** Anywhere in a key. */
const parts = [
  'authorization',
  'secret',
  'token',
  'password',
  'passwd',
  'passphrase',
  'privatekey',
  'apikey',
  'accesskeyid',
  'bearer',
  'cookie',
  'credential',
  'session',
  'jwt',
  'signature',
]

/** At the end of a name in running text. Plurals are words there, not names. */
const textEnds = [
  'authorization',
  'token',
  'secret',
  'password',
  'passwd',
  'passphrase',
  'apikey',
  'accesskeyid',
  'cookie',
  'jwt',
]

/** `ssh_key`, `ssh-key`, `sshKey`, but not `monkey` or a bare `key`. */
function hasSecretEnd(name: string): boolean {
  const trimmed = name.trim()
  return /[_.-]key$/i.test(trimmed) || /[a-z0-9]Key$/.test(trimmed)
}

/** One spelling for `API-Key`, `api_key` and `apiKey`. */
function squash(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[_.\s-]/g, '')
}

function remembered(judge: (name: string) => boolean): (name: string) => boolean {
  const verdicts = new Map<string, boolean>()
  return (name) => {
    const known = verdicts.get(name)
    if (known !== undefined) return known
    const verdict = judge(name)
    if (name.length > longestRemembered) return verdict
    if (verdicts.size >= mostVerdicts) verdicts.clear()
    verdicts.set(name, verdict)
    return verdict
  }
}
