/** What the schemas say to people: completion and hints in their editor, tables of options in the READMEs. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { Plugin } from '../plugin.ts'
import { formats } from './formats.ts'
import { isSchema, type Shape } from './mistakes.ts'
import { coreSchema } from './schema.ts'

/**
 * The schema of gateway.yaml for editors, with the plugins given. Draft-07, which yaml-language-server knows best.
 * It is never stricter than the gateway: where a value may come from elsewhere, `${` is accepted in its place.
 */
export function editorSchema(plugins: readonly Plugin[]): object {
  const { properties, ...core } = coreSchema
  const { plugins: list, ...others } = properties
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'gateway.yaml',
    ...core,
    properties: { ...mapValues(others, forEditor), plugins: { ...list, items: pluginItem(plugins) } },
  }
}

/** The options of a plugin as a Markdown table; those of maps and lists in it follow them, with dots. */
export function optionTable(plugin: Plugin): string {
  const rows = typeof plugin.config === 'object' ? optionRows(plugin.config, '') : []
  if (rows.length === 0) return 'It has no options.'
  const lines = [['Option', 'Type', 'Default', 'What it says'], ['---', '---', '---', '---'], ...rows]
  return lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n')
}

/** What stands between `<!-- name -->` and `<!-- /name -->`. */
export function between(text: string, name: string): string {
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`]
  const from = text.indexOf(start)
  const to = text.indexOf(end)
  if (from === -1 || to === -1) throw new Error(`the markers ${start.trim()} and ${end} are missing`)
  return text.slice(from + start.length, to).trim()
}

/** The text with something else there. */
export function putBetween(text: string, name: string, part: string): string {
  const start = `<!-- ${name} -->\n`
  const old = text.slice(text.indexOf(start) + start.length, text.indexOf(`<!-- /${name} -->`))
  return text.replace(`${start}${old}`, () => `${start}${part}\n`)
}

/** What the loader replaces, anywhere in a text, or reads from a file. */
const reference = '\\$\\{|^file:'

/** Plugins of others: a path, or a package that has a slash in its name or is asked for a part of it. */
const foreignPlugin = '/|\\$\\{'

function pluginItem(plugins: readonly Plugin[]): object {
  return {
    description: 'A plugin: its name, or a map with that one name and its options.',
    anyOf: [
      ...plugins.map(({ name, config }) => ({ const: name, ...descriptionOf(config) })),
      {
        type: 'string',
        pattern: foreignPlugin,
        description: 'A folder beside gateway.yaml (./NAME), or an installed package.',
      },
      {
        type: 'object',
        minProperties: 1,
        maxProperties: 1,
        additionalProperties: false,
        properties: Object.fromEntries(plugins.map(({ name, config }) => [name, pluginOptions(config)])),
        patternProperties: { '/': {} },
      },
    ],
  }
}

/** What may stand after the name and its colon; nothing may, unless an option is required. */
function pluginOptions(config: JSONSchema): unknown {
  const schema = forEditor(config)
  if (typeof schema !== 'object' || (typeof config === 'object' && config.required?.length)) return schema
  return { additionalProperties: false, ...schema, type: ['object', 'null'] }
}

function forEditor(schema: JSONSchema): JSONSchema {
  if (typeof schema === 'boolean') return schema
  const { oneOf, anyOf, ...shape } = withNested(schema)
  // A reference fits every branch, and so would never fit exactly one.
  const branches = [...(anyOf ?? []), ...(oneOf ?? [])]
  const joined = branches.length > 0 ? { ...shape, anyOf: branches } : shape
  return acceptReference(joined)
}

function withNested(schema: Shape): Shape {
  const { properties, patternProperties, additionalProperties, items, anyOf, oneOf, allOf } = schema
  return {
    ...schema,
    ...(properties && { properties: mapValues(properties, forEditor) }),
    ...(patternProperties && { patternProperties: mapValues(patternProperties, forEditor) }),
    ...(additionalProperties !== undefined && { additionalProperties: forEditor(additionalProperties) }),
    ...(isSchema(items) && { items: forEditor(items) }),
    ...(anyOf && { anyOf: anyOf.map(forEditor) }),
    ...(oneOf && { oneOf: oneOf.map(forEditor) }),
    ...(allOf && { allOf: allOf.map(forEditor) }),
  }
}

function acceptReference(schema: Shape): Shape {
  const { format, pattern, ...shape } = schema
  const known = formats[format ?? '']
  const texts = known ? known.pattern : pattern
  const isScalar =
    shape.enum !== undefined || shape.const !== undefined || /number|integer|boolean/.test(String(shape.type))
  if (isScalar) {
    const { description, default: byDefault, ...rest } = schema
    const told = {
      ...(description !== undefined && { description }),
      ...(byDefault !== undefined && { default: byDefault }),
    }
    return { ...told, anyOf: [rest, { type: 'string', pattern: reference }] }
  }
  if (texts === null || texts === undefined) return known ? shape : schema
  const hint = known ? { patternErrorMessage: `This must be ${known.what}.` } : {}
  return { ...shape, pattern: `(${texts})|${reference}`, ...hint }
}

function descriptionOf(schema: JSONSchema): { description?: string } {
  return typeof schema === 'object' && schema.description !== undefined ? { description: schema.description } : {}
}

function optionRows(schema: Shape, prefix: string): readonly (readonly string[])[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, option]) => {
    if (typeof option === 'boolean') return []
    const isRequired = schema.required?.includes(name)
    const standard = option.default === undefined ? '–' : code(option.default)
    const row = [`\`${prefix}${name}\``, typeOf(option), isRequired ? 'required' : standard, option.description ?? '']
    return [row, ...nestedRows(option, `${prefix}${name}`)]
  })
}

function nestedRows(option: Shape, path: string): readonly (readonly string[])[] {
  const branches = [...(option.anyOf ?? []), ...(option.oneOf ?? []), ...(option.allOf ?? [])]
  const { items, additionalProperties } = option
  const below: readonly [JSONSchema | readonly JSONSchema[] | undefined, string][] = [
    [option, `${path}.`],
    [items, `${path}[].`],
    [additionalProperties, `${path}.NAME.`],
  ]
  const rows = below.flatMap(([schema, prefix]) => (isShape(schema) ? optionRows(schema, prefix) : []))
  return [...rows, ...branches.flatMap((branch) => (isShape(branch) ? nestedRows(branch, path) : []))]
}

function typeOf(schema: JSONSchema): string {
  if (typeof schema === 'boolean') return 'any'
  const branches = schema.anyOf ?? schema.oneOf
  if (schema.type === undefined && branches) return [...new Set(branches.map(typeOf))].join(' or ')
  if (schema.const !== undefined) return code(schema.const)
  if (Array.isArray(schema.enum)) return schema.enum.map(code).join(', ')
  if (schema.format !== undefined) return typeNames[schema.format] ?? schema.format
  if (schema.type === 'array') return isShape(schema.items) ? `list of ${plural(typeOf(schema.items))}` : 'list'
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? ['any'])
  return types.map((type) => typeNames[type] ?? type).join(' or ')
}

/** For types and formats whose own name says little. */
const typeNames: Readonly<Record<string, string>> = {
  object: 'map',
  array: 'list',
  string: 'text',
  integer: 'whole number',
  null: 'nothing',
  listen: 'HOST:PORT',
  url: 'URL',
  'model-pattern': 'model name',
}

function plural(noun: string): string {
  if (noun.includes(' or ') || !/\w$/.test(noun)) return noun
  return noun + (noun.endsWith('s') ? 'es' : 's')
}

/** As one would write it in YAML. */
function code(value: unknown): string {
  return `\`${typeof value === 'string' && value !== '' ? value : JSON.stringify(value)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')
}

function isShape(schema: JSONSchema | readonly JSONSchema[] | undefined): schema is Shape {
  return isSchema(schema) && typeof schema === 'object'
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
