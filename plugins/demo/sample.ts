/** Values that fit a JSON schema: the arguments of a tool call, and structured output. */
import { isObject, listOf, objectOf, type JsonObject } from './json.ts'

/**
 * A schema may contain itself, and its size is the client's choice: below this depth a sample is null, after this many
 * values it ends. Without the second bound an object of ten properties that all mean itself makes ten to the eighth.
 */
const deepest = 8
const mostValues = 500

/** A value that fits the schema; its strings are `said`. Knows Gemini's upper-case types too. */
export function sample(root: unknown, said: string): unknown {
  let values = 0

  function fit(schema: unknown, depth: number): unknown {
    if (values++ >= mostValues || depth > deepest || !isObject(schema)) return null
    if (typeof schema.$ref === 'string') return fit(resolve(schema.$ref, root), depth + 1)
    if (schema.const !== undefined) return schema.const
    if (listOf(schema.enum).length > 0) return listOf(schema.enum)[0]
    const [choice] = [...listOf(schema.anyOf), ...listOf(schema.oneOf)]
    if (choice !== undefined) return fit(choice, depth + 1)
    switch (typeOf(schema)) {
      case 'object':
        return Object.fromEntries(
          propertiesOf(schema).flatMap(([name, property]) =>
            values < mostValues ? [[name, fit(property, depth + 1)]] : [],
          ),
        )
      case 'array':
        return schema.items === undefined ? [] : [fit(schema.items, depth + 1)]
      case 'string':
        return said
      case 'number':
      case 'integer':
        return typeof schema.minimum === 'number' ? schema.minimum : 1
      case 'boolean':
        return true
      default:
        return null
    }
  }

  return fit(root, 0)
}

/** The required properties, or all where none is said to be. */
function propertiesOf(schema: JsonObject): (readonly [string, unknown])[] {
  const properties = objectOf(schema.properties)
  const required = listOf(schema.required).filter((name) => typeof name === 'string')
  const names = required.length > 0 ? required : Object.keys(properties)
  return names.slice(0, mostValues).map((name) => [name, own(properties, name)])
}

function typeOf(schema: JsonObject): string {
  const type: unknown = Array.isArray(schema.type) ? schema.type.find((name) => name !== 'null') : schema.type
  if (typeof type === 'string') return type.toLowerCase()
  return schema.properties === undefined ? '' : 'object'
}

/** What a reference within the same document, such as `#/$defs/Place`, points at. */
function resolve(reference: string, root: unknown): unknown {
  const names = reference.split('/', deepest).slice(1)
  return names.reduce<unknown>((at, name) => own(objectOf(at), name), root)
}

function own(from: JsonObject, name: string): unknown {
  return Object.hasOwn(from, name) ? from[name] : undefined
}
