import { bench } from '../../test/bench.ts'
import { redactJson, redactLine, redactText, trimRequest } from './redact.ts'

const names = [
  'authorization_code',
  'code_verifier',
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'password',
]

/** The naive way: every name's patterns are compiled for each text. */
function patternsPerCall(text: string): string {
  let clean = text
    .replace(new RegExp('sk-[\\w-]{8,}', 'g'), 'sk-***')
    .replace(new RegExp('AIza[0-9A-Za-z_-]{35}', 'g'), 'AIza***')
    .replace(new RegExp('bearer\\s+[\\w.~+/=-]+', 'gi'), 'Bearer ***')
    .replace(new RegExp('eyJ[\\w-]+\\.[\\w-]+\\.[\\w-]*', 'g'), '***')
  for (const name of names) {
    clean = clean
      .replace(new RegExp(`("${name}"\\s*:\\s*")([^"]*)(")`, 'gi'), '$1***$3')
      .replace(new RegExp(`\\b(${name})=([^&\\s]+)`, 'gi'), '$1=***')
      .replace(new RegExp(`\\b(${name})\\b(\\s*[:=]\\s*)([^,\\s]+)`, 'gi'), '$1$2***')
  }
  return clean
}

/** The naive way: everything is parsed, walked and spelt again; each key is judged each time. */
function parseAndWalk(bytes: Buffer): Buffer {
  return Buffer.from(JSON.stringify(walk(JSON.parse(bytes.toString()))))
}

function walk(value: unknown): unknown {
  if (typeof value === 'string') return patternsPerCall(value)
  if (Array.isArray(value)) return value.map(walk)
  if (typeof value !== 'object' || value === null) return value
  const clean: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) {
    const name = key.trim().toLowerCase()
    const isSecret = ['secret', 'token', 'password', 'api_key', 'session'].some((part) => name.includes(part))
    clean[key] = isSecret && !name.endsWith('_tokens') ? '[REDACTED]' : walk(inner)
  }
  return clean
}

const sentence = 'Please look at the third paragraph; it says that "nothing" was found: why? '
const request = (messages: number) =>
  Buffer.from(
    JSON.stringify({
      model: 'claude-sonnet-4-5',
      max_tokens: 1024,
      metadata: { user_id: 'u-1', session_token: 'abc' },
      messages: Array.from({ length: messages }, (_, at) => ({
        role: at % 2 === 0 ? 'user' : 'assistant',
        content: [{ type: 'text', text: sentence.repeat(4) }],
      })),
    }),
  )

const record = `${JSON.stringify({
  level: 'info',
  time: '2026-01-01T00:00:00.000Z',
  exchange: '9b2f0a1c-5a41-4c3b-9a0e-1f2e3d4c5b6a',
  method: 'POST',
  path: '/v1/chat/completions',
  status: 200,
  client: '127.0.0.1',
  provider: 'openai',
  model: 'gpt-4o',
  usage: { input: 1, output: 2, cacheRead: 0, cacheWrite: 0 },
  msg: 'exchange',
})}\n`
await bench(
  'the line of an exchange',
  {
    'one look': () => redactLine(record),
    'patterns per call': () => patternsPerCall(record),
  },
  { 'patterns per call': { atLeast: 2 } },
)

const line = 'POST /v1/chat/completions answered 429 after 812 ms'
await bench(
  'a message without a secret',
  {
    'compiled once': () => redactText(line),
    'patterns per call': () => patternsPerCall(line),
  },
  { 'patterns per call': { atLeast: 10 } },
)

const told = 'upstream said 401: Incorrect API key provided: sk-proj-0123456789abcdef (https://h/x?key=abc&a=1)'
await bench(
  'an error message with a key',
  {
    'compiled once': () => redactText(told),
    'patterns per call': () => patternsPerCall(told),
  },
  { 'patterns per call': { atLeast: 2 } },
)

const small = request(24)
await bench(
  `a request of ${small.length} bytes`,
  {
    'replaced in its text': () => redactJson(small),
    'parsed and walked': () => parseAndWalk(small),
  },
  { 'parsed and walked': { atLeast: 2 } },
)

const long = request(3000)
await bench(
  `a request of ${long.length} bytes, cut to 10 KiB and redacted`,
  {
    'cut from behind, then redacted': () => redactJson(trimRequest(long)!),
    'redacted whole, then cut': () => parseAndWalk(long),
  },
  { 'redacted whole, then cut': { atLeast: 10 } },
)
