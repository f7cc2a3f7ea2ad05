/** A YAML text with positions: where a value or a key stands. */
import { isAlias, isMap, isScalar, isSeq, parseDocument, visit } from 'yaml'
import type { Document, Node, Pair, Scalar } from 'yaml'
import type { Report } from './report.ts'
import { reportSyntax } from './syntax.ts'

/** From the root of the file down to a value: keys of maps, positions in lists. */
export type Path = readonly (string | number)[]

/** A map, a list or a scalar of the text. */
export type { Node, Scalar }

/** Reads a text as YAML 1.2. Null where it is none, or no map; the report then says why. */
export function readYaml(text: string, report: Report): Yaml | null {
  const document = parseDocument(text, {
    // Given explicitly, because a `%YAML 1.1` line would else bring back `yes`, dates and merge keys.
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    prettyErrors: false,
    // Not `silent`, which would let a second document pass; warnings are kept and not printed.
    logLevel: 'error',
  })
  return reportSyntax(document, text, report) ? new Yaml(document, text) : null
}

export class Yaml {
  readonly text: string
  readonly #document: Document
  #data: unknown

  constructor(document: Document, text: string) {
    this.text = text
    this.#document = document
  }

  /** The value at a path as plain data; undefined where there is none. */
  value(path: Path): unknown {
    this.#data ??= this.#document.toJS()
    return path.reduce<unknown>(step, this.#data)
  }

  /** Gives a scalar another value. */
  set(scalar: Scalar, value: unknown): void {
    scalar.value = value
    this.#data = undefined
  }

  /** The node at a path, or null. */
  node(path: Path): Node | null {
    let node: unknown = this.#document.contents
    for (const key of path) node = childOf(this.#resolved(node), key)
    return asNode(this.#resolved(node))
  }

  /** Where the value at a path begins. An empty value is where its key is, an absent one where the map around it is. */
  offset(path: Path): number {
    const node = this.node(path)
    const parent = path.slice(0, -1)
    const key = path.at(-1)
    if (node?.range && (node.range[1] > node.range[0] || typeof key !== 'string')) return node.range[0]
    if (typeof key === 'string' && pairOf(this.node(parent), key)) return this.keyOffset(parent, key)
    return path.length === 0 ? 0 : this.offset(parent)
  }

  /** Where a key of the map at a path begins. */
  keyOffset(path: Path, key: string): number {
    return asNode(pairOf(this.node(path), key)?.key)?.range?.[0] ?? this.offset(path)
  }

  /** Every scalar that is a value; keys are names. */
  scalars(): readonly Scalar[] {
    const found: Scalar[] = []
    visit(this.#document, {
      Scalar(place, scalar) {
        if (place !== 'key') found.push(scalar)
      },
    })
    return found
  }

  isScalar(node: Node | null): node is Scalar {
    return isScalar(node)
  }

  /** The pairs of a map by their keys, aliases followed; none where the node is no map. */
  pairs(node: Node): readonly (readonly [key: string, value: Node])[] {
    if (!isMap(node)) return []
    return node.items.flatMap((pair) => {
      const value = asNode(this.#resolved(pair.value))
      return value ? [[keyOf(pair), value] as const] : []
    })
  }

  /** The items of a list, aliases followed; none where the node is no list. */
  items(node: Node): readonly Node[] {
    return isSeq(node) ? node.items.flatMap((item) => asNode(this.#resolved(item)) ?? []) : []
  }

  #resolved(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node
  }
}

/** What a text would be as a plain scalar: a number, true, false or null; the text itself where it is none of these. */
export function readScalar(text: string): unknown {
  // Longer than any number worth writing; what a variable holds may be a whole document.
  if (text === '' || text.length > 40) return text
  const { contents, errors } = parseDocument(text, { schema: 'core', prettyErrors: false, logLevel: 'silent' })
  if (errors.length > 0 || !isScalar(contents) || contents.type !== 'PLAIN' || contents.source !== text) return text
  return contents.value
}

function step(value: unknown, key: string | number): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as Record<string | number, unknown>)[key] // it has the key, as was just asked
}

function childOf(node: unknown, key: string | number): unknown {
  if (isSeq(node)) return node.items[Number(key)]
  return pairOf(node, String(key))?.value
}

function pairOf(node: unknown, key: string): Pair | undefined {
  return isMap(node) ? node.items.find((pair) => keyOf(pair) === key) : undefined
}

/** As `toJS` spells it; a key that is no scalar was refused before. */
function keyOf(pair: Pair): string {
  const key = isScalar(pair.key) ? pair.key.value : null
  // Numbers and booleans are what else a plain scalar can be.
  return typeof key === 'string' ? key : key === null ? '' : JSON.stringify(key)
}

function asNode(node: unknown): Node | null {
  return isMap(node) || isSeq(node) || isScalar(node) ? node : null
}
