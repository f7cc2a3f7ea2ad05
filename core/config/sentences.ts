/** Mistakes in words: what the value must be, what it is instead, what to write. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { Path } from './document.ts'
import { formats, secretFormats } from './formats.ts'
import type { Mistake, Shape } from './mistakes.ts'
import { didYouMean } from './problems.ts'

export interface Sentence {
  readonly message: string
  readonly cure?: string
  /** The key it is about, where it is about a key of the map and not about the map. */
  readonly key?: string
  /** The item it is about, where it is about an item of the list and not about the list. */
  readonly item?: number
}

/**
 * Says a mistake. `name` is what the value is called. `written` is what stands in the file where the value came from
 * elsewhere: it is said instead of the value, which may be a secret.
 */
export function say(mistake: Mistake, name: string, written: string | undefined): Sentence {
  const words = sentences[mistake.keyword]
  return words ? words(mistake, name, written) : { message: `${name} ${mistake.message}` }
}

/** `limits.drain`, `ip-rules.deny[0]`; the root itself has the name that is given for it. */
export function nameOf(root: string, prefix: string, path: Path): string {
  if (path.length === 0) return root
  const steps = path.map((key) => (/^\d+$/.test(String(key)) ? `[${key}]` : `.${key}`)).join('')
  return prefix === '' ? steps.replace(/^\./, '') : prefix + steps
}

/** What a schema wants, to end the sentence "… must be". */
export function describe(schema: JSONSchema): string {
  if (typeof schema === 'boolean') return 'anything'
  const options = schema.anyOf ?? schema.oneOf
  if (schema.type === undefined && options) return [...new Set(options.map(describe))].join(' or ')
  if (schema.const !== undefined) return literal(schema.const)
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map(literal).join(', ')}`
  const format = formats[schema.format ?? '']
  if (format) return format.what
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? [])
  return types.map((type) => typeNames[type]).join(' or ') || 'something else'
}

/** Shows a value that stands in the file as it is. */
export function literal(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (typeof value !== 'string') return `${value as number | boolean}` // what else YAML's scalars are
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
}

type Words = (mistake: Mistake, name: string, written: string | undefined) => Sentence

const typeNames: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  array: 'a list',
  null: 'nothing',
}

const comparisons: Record<string, string> = { '>=': 'at least', '<=': 'at most', '>': 'more than', '<': 'less than' }

function limitOf({ params }: Mistake): string {
  return `${comparisons[String(params['comparison'])]} ${String(params['limit'])}`
}

const wrongForm: Words = (mistake, name, written) => ({
  message: `${name} must be ${describe(mistake.schema)}${insteadOf(mistake, written)}`,
  ...cureOf(mistake, written),
})

const notOneOf: Words = (mistake, name, written) => {
  const guess =
    typeof mistake.value === 'string' && written === undefined ? didYouMean(mistake.value, choices(mistake.schema)) : ''
  return { message: wrongForm(mistake, name, written).message + guess }
}

const compared: Words = (mistake, name, written) => ({
  message: `${name} must be ${limitOf(mistake)}${insteadOf(mistake, written)}`,
})

const counted =
  (limit: string, things: string): Words =>
  ({ params }, name) => {
    if (limit === 'at least' && params['limit'] === 1) return { message: `${name} must not be empty` }
    return { message: `${name} must have ${limit} ${String(params['limit'])} ${things}` }
  }

const unknownKey: Words = ({ schema, params }, name) => {
  const key = String(params['additionalProperty'] ?? params['unevaluatedProperty'])
  const known = Object.keys(schema.properties ?? {})
  const list = known.length > 0 && known.length <= 20 ? { cure: `It knows ${known.join(', ')}` } : {}
  return { message: `${name} does not know ${JSON.stringify(key)}${didYouMean(key, known)}`, ...list, key }
}

const missingKey: Words = ({ schema, params }, name) => {
  const key = String(params['missingProperty'])
  const property = schema.properties?.[key]
  const told = typeof property === 'object' && property.description
  const reason = params['property'] === undefined ? '' : ` where it has ${JSON.stringify(params['property'])}`
  return {
    message: `${name} needs ${JSON.stringify(key)}${reason}`,
    ...(told ? { cure: `${key}: ${told.replace(/\.$/, '')}` } : {}),
  }
}

const noForm: Words = (mistake, name, written) => {
  const { schema, params } = mistake
  if (params['passingSchemas']) return { message: `${name} could mean several things at once: ${describe(schema)}` }
  const needs = (schema.anyOf ?? schema.oneOf ?? []).flatMap(
    (branch) => (typeof branch === 'object' && branch.required) || [],
  )
  const keys = [...new Set(needs)].map((key) => JSON.stringify(key))
  return isForm(schema) ? wrongForm(mistake, name, written) : { message: `${name} needs ${keys.join(' or ')}` }
}

const sentences: Readonly<Record<string, Words>> = {
  type: wrongForm,
  format: wrongForm,
  const: notOneOf,
  enum: notOneOf,
  anyOf: noForm,
  oneOf: noForm,
  pattern: (mistake, name, written) => ({
    message: `${name} must look like ${String(mistake.params['pattern'])}${insteadOf(mistake, written)}`,
    ...(mistake.schema.description ? { cure: mistake.schema.description.replace(/\.$/, '') } : {}),
  }),
  minimum: compared,
  maximum: compared,
  exclusiveMinimum: compared,
  exclusiveMaximum: compared,
  multipleOf: (mistake, name, written) => ({
    message: `${name} must be a multiple of ${String(mistake.params['multipleOf'])}${insteadOf(mistake, written)}`,
  }),
  minLength: counted('at least', 'characters'),
  maxLength: counted('at most', 'characters'),
  minItems: counted('at least', 'items'),
  maxItems: counted('at most', 'items'),
  minProperties: counted('at least', 'keys'),
  maxProperties: counted('at most', 'keys'),
  uniqueItems: ({ params }, name) => ({
    message: `${name} has the same item twice`,
    item: Math.max(Number(params['i']), Number(params['j'])),
  }),
  required: missingKey,
  dependentRequired: missingKey,
  additionalProperties: unknownKey,
  unevaluatedProperties: unknownKey,
  propertyNames: ({ params }, name) => ({
    message: `${name} cannot have the key ${JSON.stringify(params['propertyName'])}`,
    key: String(params['propertyName']),
  }),
  'false schema': (_mistake, name) => ({ message: `${name} cannot be given here` }),
}

/** `, not the number 30`. What came from elsewhere and what is secret is not repeated. */
function insteadOf({ value, schema }: Mistake, written: string | undefined): string {
  if (isSecret(schema)) return ''
  if (written !== undefined) return `, not what ${written} stands for`
  if (value === null) return ', but there is nothing'
  return `, not ${typeof value === 'number' ? 'the number ' : ''}${literal(value)}`
}

function cureOf({ value, schema }: Mistake, written: string | undefined): { cure?: string } {
  const format = formats[schema.format ?? '']
  if (format) return { cure: format.cure(written === undefined ? value : undefined) }
  const isPlain = typeof value === 'number' || typeof value === 'boolean'
  if (isPlain && written === undefined && schema.type === 'string')
    return { cure: `Put it in quotes: "${String(value)}"` }
  return {}
}

function choices({ enum: options, const: only }: Shape): string[] {
  const values: unknown[] = Array.isArray(options) ? options : [only]
  return values.filter((value) => typeof value === 'string')
}

/** Whether some form of it is a secret. */
function isSecret(schema: JSONSchema): boolean {
  if (typeof schema === 'boolean') return false
  return secretFormats.has(schema.format ?? '') || [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].some(isSecret)
}

/** Whether a union chooses between forms, and not only between keys that must be there. */
function isForm({ anyOf, oneOf }: Shape): boolean {
  return (anyOf ?? oneOf ?? []).some(
    (branch) => typeof branch !== 'object' || Object.keys(branch).some((key) => key !== 'required'),
  )
}
