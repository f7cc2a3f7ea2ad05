/**
 * Plain schemas: those that use no more of JSON Schema than configurations usually need, and are read as they stand. A configuration
 * that is right is known to be so here; ajv, which compiles code for each schema, is for whoever has made a mistake: to say which.
 */
import type { JSONSchema } from 'json-schema-to-ts'
import { formats } from './formats.ts'

type Shape = Exclude<JSONSchema, boolean>

/**
 * Whether a schema is plain. What is wrong with it in the eyes of ajv's strict mode makes it none. A `part` of another schema leaves
 * to the whole what that one has to say to be strict.
 */
export function isPlain(schema: JSONSchema, as: 'whole' | 'part' = 'whole'): boolean {
  if (typeof schema === 'boolean') return true
  const known = seen[as].get(schema) ?? looksPlain(schema, as === 'whole' ? [] : null)
  seen[as].set(schema, known)
  return known
}

/** Whether a value satisfies a plain schema. Of any other it knows nothing. */
export function holds(schema: JSONSchema, value: unknown): boolean {
  if (typeof schema === 'boolean') return schema
  const { type, enum: choices, anyOf, oneOf } = schema
  if (type !== undefined && ![type].flat().some((name) => types[name]?.(value))) return false
  if (choices && !(choices as readonly unknown[]).includes(value)) return false // a plain schema's are a list
  if (schema.const !== undefined && schema.const !== value) return false
  if (anyOf && !anyOf.some((option) => holds(option, value))) return false
  if (oneOf && oneOf.filter((option) => holds(option, value)).length !== 1) return false
  if (typeof value === 'string') return textHolds(schema, value)
  if (typeof value === 'number') return !Number.isFinite(value) || numberHolds(schema, value)
  if (Array.isArray(value)) return listHolds(schema, value)
  return !isMap(value) || mapHolds(schema, value)
}

const seen = { whole: new WeakMap<object, boolean>(), part: new WeakMap<object, boolean>() }

const types: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isMap,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: Number.isFinite,
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
}

function textHolds({ format, pattern, minLength = 0, maxLength = Infinity }: Shape, text: string): boolean {
  if (format !== undefined && !formats[format]!.test(text)) return false
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(text)) return false
  // JSON Schema counts characters, not the halves of those beyond the first plane.
  const { length } = Array.from(text)
  return length >= minLength && length <= maxLength
}

function numberHolds(schema: Shape, number: number): boolean {
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity } = schema
  return number >= minimum && number <= maximum && number > exclusiveMinimum && number < exclusiveMaximum
}

function listHolds({ items, minItems = 0, maxItems = Infinity }: Shape, list: readonly unknown[]): boolean {
  if (list.length < minItems || list.length > maxItems) return false
  // One schema for all: a list of them is not plain.
  return items === undefined || list.every((item) => holds(items as JSONSchema, item))
}

function mapHolds(schema: Shape, map: Readonly<Record<string, unknown>>): boolean {
  const { properties = {}, additionalProperties = true, required = [], minProperties = 0 } = schema
  const entries = Object.entries(map)
  if (entries.length < minProperties || !required.every((key) => map[key] !== undefined)) return false
  return entries.every(([key, value]) => {
    if (!Object.hasOwn(properties, key)) return holds(additionalProperties, value)
    return value === undefined || holds(properties[key]!, value)
  })
}

/** A keyword of JSON Schema 2020-12, as far as it is plain. */
interface Keyword {
  /** The type of value that it is about: strict schemas say that the value is of that type. Absent: any. */
  readonly of?: 'object' | 'array' | 'string' | 'number'
  /** Whether it may be written so. */
  readonly isWell: (argument: unknown) => boolean
}

const isText = (argument: unknown): argument is string => typeof argument === 'string'
const isNumber = (argument: unknown) => Number.isFinite(argument)
const isCount = (argument: unknown) => Number.isInteger(argument) && Number(argument) >= 0
const isChoice = (argument: unknown) => argument === null || ['string', 'number', 'boolean'].includes(typeof argument)
const isType = (name: unknown) => typeof name === 'string' && Object.hasOwn(types, name)
const isSchema = (argument: unknown) => typeof argument === 'boolean' || isMap(argument)
/** A key of every object is there, for ajv, where nobody has written it. */
const isKey = (key: unknown) => typeof key === 'string' && !(key in Object.prototype)
const some = (isWell: (item: unknown) => boolean) => (argument: unknown) =>
  Array.isArray(argument) && argument.length > 0 && argument.every(isWell) && new Set(argument).size === argument.length

const keywords: Readonly<Record<string, Keyword>> = {
  title: { isWell: isText },
  description: { isWell: isText },
  examples: { isWell: Array.isArray },
  default: { isWell: () => true },
  type: { isWell: (type) => isType(type) || some(isType)(type) },
  enum: { isWell: some(isChoice) },
  const: { isWell: isChoice },
  anyOf: { isWell: some(isSchema) },
  oneOf: { isWell: some(isSchema) },
  format: { of: 'string', isWell: (name) => isText(name) && Object.hasOwn(formats, name) },
  pattern: { of: 'string', isWell: isPattern },
  minLength: { of: 'string', isWell: isCount },
  maxLength: { of: 'string', isWell: isCount },
  minimum: { of: 'number', isWell: isNumber },
  maximum: { of: 'number', isWell: isNumber },
  exclusiveMinimum: { of: 'number', isWell: isNumber },
  exclusiveMaximum: { of: 'number', isWell: isNumber },
  items: { of: 'array', isWell: isSchema },
  minItems: { of: 'array', isWell: isCount },
  maxItems: { of: 'array', isWell: isCount },
  properties: { of: 'object', isWell: (map) => isMap(map) && Object.entries(map).every(isProperty) },
  additionalProperties: { of: 'object', isWell: isSchema },
  required: { of: 'object', isWell: (list) => (Array.isArray(list) && list.length === 0) || some(isKey)(list) },
  minProperties: { of: 'object', isWell: isCount },
}

/** `around`: the types that the value may have by what the schemas around it say; null where that does not matter. */
function looksPlain(schema: JSONSchema, around: readonly string[] | null): boolean {
  if (typeof schema === 'boolean') return true
  const isWell = Object.entries(schema).every(
    ([name, argument]) => Object.hasOwn(keywords, name) && keywords[name]!.isWell(argument),
  )
  if (!isWell) return false
  const own = [schema.type ?? []].flat()
  const known = own.length > 0 || around === null ? own : around
  if (around !== null) {
    if (around.length > 0 && !own.every((type) => includes(around, type))) return false
    if (!Object.keys(schema).every((name) => isAbout(known, keywords[name]!))) return false
  }
  const inner = [schema.items ?? [], schema.additionalProperties ?? [], Object.values(schema.properties ?? {})].flat()
  const same = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]
  return (
    inner.every((part) => looksPlain(part, around && [])) && same.every((part) => looksPlain(part, around && known))
  )
}

function isAbout(known: readonly string[], { of }: Keyword): boolean {
  return of === undefined || known.includes(of) || (of === 'number' && known.includes('integer'))
}

function includes(list: readonly string[], type: string): boolean {
  return list.includes(type) || (type === 'integer' && list.includes('number'))
}

function isProperty([key, schema]: [string, unknown]): boolean {
  return isKey(key) && isSchema(schema)
}

function isPattern(text: unknown): boolean {
  try {
    return typeof text === 'string' && Boolean(new RegExp(text, 'u'))
  } catch {
    return false
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
