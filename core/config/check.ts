/** A gateway.yaml that is being read, and how a part of it is held against a schema. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { Path, Yaml } from './document.ts'
import type { ProblemCode } from './problems.ts'
import { findMistakes, meant, type Branched, type Mistake } from './mistakes.ts'
import type { References } from './references.ts'
import type { Report } from './report.ts'
import { nameOf, say } from './sentences.ts'
import { settle } from './settle.ts'
import { hideSecrets } from './veil.ts'

export interface Draft {
  readonly yaml: Yaml
  readonly references: References
  readonly report: Report
}

/** What a part of the file is called in sentences. */
export interface Subject {
  /** The part itself. */
  readonly root: string
  /** What stands before the names of its keys. */
  readonly prefix: string
}

/** Reports every mistake of the value at a path; an absent value is an empty map. Null where there was one. */
export async function check(
  draft: Draft,
  schema: JSONSchema,
  path: Path,
  subject: Subject,
): Promise<{ readonly value: unknown } | null> {
  const { yaml, report } = draft
  hideSecrets(yaml, report, yaml.node(path), schema)
  let value = valueAt(draft, schema, path)
  let mistakes = await findMistakes(schema, value)
  if (takeAsTexts(draft, path, mistakes)) {
    value = valueAt(draft, schema, path)
    mistakes = await findMistakes(schema, value)
  }
  for (const mistake of meant(mistakes)) reportMistake(draft, mistake, path, subject)
  return mistakes.length === 0 ? { value: settle(schema, value) } : null
}

/** What stands in the file where the value came from the environment or another file, and may not be repeated. */
export function writtenAt({ yaml, references }: Draft, path: Path): string | undefined {
  const node = yaml.node(path)
  return yaml.isScalar(node) ? references.written.get(node) : undefined
}

/** Whether the value at a path could not be had, which was reported. */
export function isBroken({ yaml, references }: Draft, path: Path): boolean {
  const node = yaml.node(path)
  return yaml.isScalar(node) && references.broken.has(node)
}

function reportMistake(draft: Draft, mistake: Mistake, base: Path, { root, prefix }: Subject): void {
  const path = [...base, ...mistake.path]
  if (isBroken(draft, path)) return
  const { message, cure, key, item } = say(mistake, nameOf(root, prefix, mistake.path), writtenAt(draft, path))
  const place = item === undefined ? path : [...path, item]
  const offset = key === undefined ? draft.yaml.offset(place) : draft.yaml.keyOffset(place, key)
  draft.report.add(offset, message, cure, codes[mistake.keyword])
}

/** Every other keyword is about a value. */
const codes: Readonly<Record<string, ProblemCode>> = {
  additionalProperties: 'CONFIG_UNKNOWN',
  unevaluatedProperties: 'CONFIG_UNKNOWN',
  required: 'CONFIG_MISSING',
  dependentRequired: 'CONFIG_MISSING',
}

/** A list or a map with nothing below its key, every line of it commented out perhaps, counts as absent. */
function valueAt({ yaml }: Draft, schema: JSONSchema, path: Path): unknown {
  const value = yaml.value(path) ?? {}
  if (typeof value !== 'object' || Array.isArray(value)) return value
  const properties = (typeof schema === 'object' && schema.properties) || {}
  const isAbsent = ([key, inner]: [string, unknown]) => {
    const property = properties[key]
    return (
      inner === null &&
      typeof property === 'object' &&
      typeof property.default === 'object' &&
      property.default !== null
    )
  }
  return Object.fromEntries(Object.entries(value).filter((entry) => !isAbsent(entry)))
}

/** `${KEY}` may hold `12345678`: where the schema wants a text and not the number, a text it is. */
function takeAsTexts({ yaml, references }: Draft, base: Path, mistakes: readonly Branched[]): boolean {
  let changed = false
  for (const { keyword, params, path } of mistakes) {
    const node = yaml.node([...base, ...path])
    const text = yaml.isScalar(node) ? references.texts.get(node) : undefined
    const wantsText = keyword === 'enum' || keyword === 'const' || String(params['type']).split(',').includes('string')
    if (!yaml.isScalar(node) || text === undefined || !wantsText) continue
    yaml.set(node, text)
    changed = true
  }
  return changed
}
