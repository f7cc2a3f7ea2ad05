/** Request bodies as chat clients send them, of about a given size: what the benches of this folder run on. */

const prose = 'The small gate beside the wall was opened only at night, and by those who knew where it stood. '
const quoted = 'She said: \u201CIt is late \u2013 the gate won\u2019t be opened twice.\u201D Nobody answered. '
const code = 'function find(name) {\n\tif (name === "a\\b") {\n\t\treturn "it"\n\t}\n}\n'

const kinds = {
  'long messages': prose.repeat(42),
  'long messages, a typographic quote here and there': (prose + prose + quoted).repeat(14),
  'many short messages': 'Yes, that is the one.',
  'escape-heavy code': code.repeat(20),
} as const
export type Kind = keyof typeof kinds
export const kindsOfConversation = Object.keys(kinds) as Kind[] // the keys above, no others

export const sizes: Readonly<Record<string, number>> = { '1 KB': 1e3, '100 KB': 1e5, '1 MB': 1e6, '5 MB': 5e6 }

/** A body of one kind, as near to `size` bytes as its messages allow. */
export function conversation(kind: Kind, size: number): Buffer {
  const content = kinds[kind].slice(0, kind === 'escape-heavy code' ? size * 0.7 : size * 0.85)
  const length = Buffer.byteLength(JSON.stringify({ role: 'assistant', content })) + 1
  const messages = Array.from({ length: Math.max(1, Math.round((size - 100) / length)) }, (_, at) => ({
    role: at % 2 === 0 ? 'user' : 'assistant',
    content,
  }))
  const settings = { model: 'gpt-4o-mini', stream: true, temperature: 0.7, max_output_tokens: 1024 }
  return Buffer.from(JSON.stringify({ ...settings, messages }))
}
