/** Brings a checked value into the form that code is given: defaults applied, formats parsed, all of it frozen. */
import type { JSONSchema } from 'json-schema-to-ts'
import { formats } from './formats.ts'
import { accepts, isSchema, type Shape } from './mistakes.ts'

/** Makes a new value; neither the one it is given nor the schema's defaults are ever shared with it. */
export function settle(schema: JSONSchema, value: unknown): unknown {
  if (typeof schema === 'boolean') return settleNested({}, value)
  const format = formats[schema.format ?? '']
  if (format?.parse && typeof value === 'string') {
    // The values of the file have passed the test; a schema's defaults were never asked.
    if (!format.test(value)) throw new TypeError(`the default ${JSON.stringify(value)} is not ${format.what}`)
    return format.parse(value)
  }
  const nested = settleNested(schema, value)
  // The branch that the value has taken knows some of its keys, the schema around the branches others.
  const branch = (schema.anyOf ?? schema.oneOf)?.find((option) => accepts(option, value))
  const parts = branch === undefined ? (schema.allOf ?? []) : [...(schema.allOf ?? []), branch]
  return parts.reduce<unknown>((settled, part) => settle(part, settled), nested)
}

function settleNested(schema: Shape, value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map((item) => settle(itemSchema(schema), item)))
  if (!isPlain(value)) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, settle(keySchema(schema, key), inner)] as const)
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    if (Object.hasOwn(value, key) || typeof inner === 'boolean' || inner.default === undefined) continue
    entries.push([key, settle(inner, inner.default)])
  }
  // `fromEntries` defines keys where assignment would call setters: `__proto__` is a key like any other.
  return Object.freeze(Object.fromEntries(entries))
}

function keySchema({ properties, patternProperties, additionalProperties }: Shape, key: string): JSONSchema {
  if (properties && Object.hasOwn(properties, key)) return properties[key] ?? true
  const match = Object.entries(patternProperties ?? {}).find(([pattern]) => new RegExp(pattern, 'u').test(key))
  return match?.[1] ?? additionalProperties ?? true
}

function itemSchema({ items }: Shape): JSONSchema {
  return isSchema(items) ? items : true
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
