/** Embeddings without a model: texts that share words lie near each other, the same text always in the same place. */

/** A unit vector for a text. Each word pushes eight of the dimensions; a little noise keeps the rest from being zero. */
export function vectorOf(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  let state = hash(text) || 1
  for (let at = 0; at < dimensions; at++) {
    state = next(state)
    vector[at] = (state / 0x1_0000_0000 - 0.5) / 50
  }
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) push(vector, word)
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) || 1
  return vector.map((value) => value / length)
}

/** The four bytes of each number, least significant first, as OpenAI's `encoding_format: base64` has them. */
export function base64Of(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4)
  vector.forEach((value, at) => bytes.writeFloatLE(value, at * 4))
  return bytes.toString('base64')
}

function push(vector: Float32Array, word: string): void {
  let state = hash(word) || 1
  for (let times = 0; times < 8; times++) {
    state = next(state)
    const at = state % vector.length
    vector[at] = (vector[at] ?? 0) + (state & 0x100 ? 1 : -1)
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** One step of xorshift32. */
function next(state: number): number {
  let x = state
  x ^= x << 13
  x ^= x >>> 17
  x ^= x << 5
  return x >>> 0
}
