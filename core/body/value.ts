/** JSON.parse, without a fault that V8 has with keys that are spelt with escapes. */

/**
 * What the text says; throws SyntaxError, as JSON.parse does. V8 (13.6 of Node 24, 14.6 of Node 26) may take a key that is spelt with an
 * escape for another that it has met behind the same beginning of an object: after `{"x":0,"\\":0}` it reads `{"x":1,"\u0061":2}` as x and
 * a backslash (https://github.com/nodejs/node/issues/63785). One client's keys could so rename another's. The wrong name always has a
 * backslash in it, hence only values that have such a key are read once more, with plain names in place of all keys.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return text.includes('\\') && hasBackslashInKey(value) ? readAgain(text) : value
}

function hasBackslashInKey(value: unknown): boolean {
  const waiting = [value]
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (typeof next !== 'object' || next === null) continue
    if (!Array.isArray(next) && Object.keys(next).some((key) => key.includes('\\'))) return true
    for (const inner of Object.values(next)) if (typeof inner === 'object') waiting.push(inner)
  }
  return false
}

const strings = /("[^"\\]*(?:\\[^][^"\\]*)*")(\s*:)?/g

/** Of a string alone JSON.parse has no memory: keys are read one by one, and stand as numbers meanwhile. */
function readAgain(text: string): unknown {
  const ids = new Map<string, number>()
  const plain = text.replaceAll(strings, (all, spelt: string, colon: string | undefined) => {
    if (colon === undefined) return all
    const name = JSON.parse(spelt) as string // it stands in quotes
    const id = ids.get(name) ?? ids.size
    ids.set(name, id)
    return `"k${id}":`
  })
  return renamed(JSON.parse(plain), [...ids.keys()])
}

function renamed(root: unknown, names: readonly string[]): unknown {
  const waiting: [from: object, to: object][] = []
  const copyOf = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    const copy = Array.isArray(value) ? [] : {}
    waiting.push([value, copy])
    return copy
  }
  const top = copyOf(root)
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [from, to] = next
    for (const [id, inner] of Object.entries(from)) {
      const key = Array.isArray(from) ? id : names[Number(id.slice(1))]!
      // Assignment would not make a member called __proto__.
      Object.defineProperty(to, key, { value: copyOf(inner), writable: true, enumerable: true, configurable: true })
    }
  }
  return top
}
