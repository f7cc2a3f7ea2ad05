/** Reading JSON that anyone may have written: what is not of the expected kind reads as empty, nothing throws. */

export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object, or an empty one. */
export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

/** The array, or an empty one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** The string, or an empty one. */
export function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The text of a message's content: a string, one part with a `text`, or a list of such parts. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (isObject(content)) return stringOf(content.text)
  return listOf(content)
    .map((part) => (typeof part === 'string' ? part : stringOf(objectOf(part).text)))
    .filter((text) => text !== '')
    .join('\n')
}

/** What the user said last, looking into `field` of each message; a message without a role is the user's. */
export function lastSaid(messages: readonly unknown[], field: 'content' | 'parts'): string {
  for (let at = messages.length - 1; at >= 0; at--) {
    const message = objectOf(messages[at])
    if (message.role !== undefined && message.role !== 'user') continue
    const text = textOf(message[field])
    if (text.trim() !== '') return text
  }
  return ''
}

/** Fields that hold bytes, which are no prose and no tokens at four characters each. */
const opaque = new Set(['data', 'image_url', 'file_data', 'thoughtSignature', 'signature', 'encrypted_content'])

/** About how many tokens all the text in these values makes. Walks without recursion: depth is the client's choice. */
export function tokensIn(...values: unknown[]): number {
  const rest = values
  let characters = 0
  while (rest.length > 0) {
    const value = rest.pop()
    if (typeof value === 'string') characters += value.length
    else if (Array.isArray(value)) for (const item of value) rest.push(item)
    else if (isObject(value)) for (const key of Object.keys(value)) if (!opaque.has(key)) rest.push(value[key])
  }
  return tokensOf(characters)
}

/** Four characters a token, the rule of thumb that every provider's documentation gives for English. */
export function tokensOf(characters: number): number {
  return Math.max(1, Math.ceil(characters / 4))
}
