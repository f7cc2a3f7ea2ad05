/** Finds the secrets in a text, so that no frame shows them. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { Node, Yaml } from './document.ts'
import { secretFormats } from './formats.ts'
import { isSchema, type Shape } from './mistakes.ts'
import { closest } from './problems.ts'
import type { Report } from './report.ts'

/** Hides what the schema calls secret, and what stands below a key that it does not know: nobody said what that is. */
export function hideSecrets(yaml: Yaml, report: Report, node: Node | null, schema: JSONSchema): void {
  hideByShapes(yaml, report, node, shapesOf(schema))
}

/** Hides every value below a node. */
export function hideAll(yaml: Yaml, report: Report, node: Node | null): void {
  if (node === null) return
  const [start = 0, end = 0] = node.range ?? []
  const inner = [...yaml.items(node), ...yaml.pairs(node).map(([, value]) => value)]
  for (const value of inner) hideAll(yaml, report, value)
  // A reference alone tells where a secret is, not what it is.
  const isReference = /^["']?(\$\{\w+(:-)?\}|file:[^$]*)["']?$/.test(yaml.text.slice(start, end))
  if (yaml.isScalar(node) && !isReference) report.hide(start, end)
}

function hideByShapes(yaml: Yaml, report: Report, node: Node | null, shapes: readonly Shape[]): void {
  if (node === null) return
  if (shapes.some(({ format }) => secretFormats.has(format ?? ''))) return hideAll(yaml, report, node)
  const items = shapes.flatMap(({ items }) => (isSchema(items) ? shapesOf(items) : []))
  for (const item of yaml.items(node)) hideByShapes(yaml, report, item, items)
  for (const [key, value] of yaml.pairs(node)) {
    const inner = keyShapes(shapes, key)
    if (inner) hideByShapes(yaml, report, value, inner)
    else hideAll(yaml, report, value)
  }
}

/** The schema and all its branches: which of them a value has taken does not matter here. */
function shapesOf(schema: JSONSchema): readonly Shape[] {
  if (typeof schema === 'boolean') return []
  const branches = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]
  return [schema, ...branches.flatMap(shapesOf)]
}

/** What is known of a key; null where it is unknown to all. A misspelt key counts as the one that was meant. */
function keyShapes(shapes: readonly Shape[], key: string): readonly Shape[] | null {
  const maps = shapes.filter(({ properties, additionalProperties }) => properties ?? additionalProperties !== undefined)
  const known = maps.flatMap((shape) => schemasOf(shape, key))
  if (known.length > 0 || maps.length === 0) return known.flatMap(shapesOf)
  const guess = closest(
    key,
    maps.flatMap(({ properties }) => Object.keys(properties ?? {})),
  )
  return guess === undefined ? null : keyShapes(shapes, guess)
}

function schemasOf({ properties, patternProperties, additionalProperties }: Shape, key: string): readonly JSONSchema[] {
  if (properties && Object.hasOwn(properties, key)) return [properties[key] ?? true]
  const matches = Object.entries(patternProperties ?? {}).filter(([pattern]) => new RegExp(pattern, 'u').test(key))
  if (matches.length > 0) return matches.map(([, schema]) => schema)
  return additionalProperties === false ? [] : [additionalProperties ?? true]
}
