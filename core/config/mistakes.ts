/** What a value does against a schema, one mistake at a time, without the echo. */
import type { ErrorObject } from 'ajv/dist/2020.js'
import type { JSONSchema } from 'json-schema-to-ts'
import type * as Compilers from './ajv.ts'
import type { Path } from './document.ts'
import { holds, isPlain } from './plain.ts'

/** A schema that is no boolean. */
export type Shape = Exclude<JSONSchema, boolean>

/** Whether `items` is one schema; a tuple is a list of them, which JSON Schema 2020-12 spells otherwise. */
export function isSchema(schema: JSONSchema | readonly JSONSchema[] | undefined): schema is JSONSchema {
  return schema !== undefined && !Array.isArray(schema)
}

/** One keyword of a schema that a value does not satisfy. */
export interface Mistake {
  readonly keyword: string
  /** Where the value is. */
  readonly path: Path
  readonly value: unknown
  /** The schema that has the keyword. */
  readonly schema: Shape
  readonly params: Readonly<Record<string, unknown>>
  /** What ajv says. */
  readonly message: string
}

/**
 * Every mistake, the branches of an `anyOf` as well: what of them was meant is for `meant` to say. Rejects where the schema is none,
 * with words for its author.
 */
export async function findMistakes(schema: JSONSchema, value: unknown): Promise<readonly Branched[]> {
  if (isPlain(schema) && holds(schema, value)) return []
  const { strict } = await compilers()
  const validate = strict(schema)
  if (validate(value)) return []
  const errors = validate.errors ?? []
  // The inner half of a `propertyNames` mistake: the outer half names the key.
  return errors.filter((error) => error.propertyName === undefined).map(branched)
}

/** A mistake with its place in the schema, which tells the branches of an `anyOf` apart. */
export interface Branched extends Mistake {
  readonly at: string
}

/** Whether a value satisfies a schema, which may be a part of another one. Throws where that is not plain and was not made `ready`. */
export function accepts(schema: JSONSchema, value: unknown): boolean {
  if (isPlain(schema, 'part')) return holds(schema, value)
  if (!loaded) throw new TypeError('nobody has waited until this schema was ready')
  return loaded.lenient(schema)(value)
}

/** Resolves when `accepts` can be asked about parts of a schema: `findMistakes` has seen to that for those it was given. */
export async function ready(schema: JSONSchema): Promise<void> {
  if (!isPlain(schema)) await compilers()
}

let loaded: typeof Compilers | null = null

/** 40 ms and 10 MiB, and then code that is compiled for each schema: not for a configuration that is right. */
async function compilers(): Promise<typeof Compilers> {
  return (loaded ??= await import('./ajv.ts'))
}

/** Leaves of every `anyOf` and `oneOf` only the mistakes of the branch that was meant. */
export function meant(mistakes: readonly Branched[]): readonly Mistake[] {
  let left = mistakes
  // The innermost unions first: what remains of them is part of the branches around them.
  const unions = mistakes.filter(isUnion).toSorted((one, other) => other.at.length - one.at.length)
  for (const union of unions) {
    const inside = left.filter((mistake) => isInside(mistake, union))
    const best = bestBranch(union, inside)
    left = left.filter((mistake) =>
      mistake === union ? best === null : !inside.includes(mistake) || best?.includes(mistake),
    )
  }
  // The `then` of an `if` makes its own mistakes; the keyword adds nothing to them.
  return left.filter((mistake) => mistake.keyword !== 'if')
}

function branched(error: ErrorObject): Branched {
  return {
    keyword: error.keyword,
    path: pathOf(error),
    value: error.data,
    schema: error.parentSchema ?? {}, // there because of `verbose`
    params: error.params,
    message: error.message ?? '',
    at: error.schemaPath,
  }
}

function pathOf({ instancePath }: ErrorObject): Path {
  const keys = instancePath.split('/').slice(1)
  return keys.map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function isUnion({ keyword }: Mistake): boolean {
  return keyword === 'anyOf' || keyword === 'oneOf'
}

function isInside(mistake: Branched, union: Branched): boolean {
  return mistake.at.startsWith(`${union.at}/`) && union.path.every((key, index) => mistake.path[index] === key)
}

/** Null where the value has the form of none, so that the union itself is the thing to say. */
function bestBranch(union: Branched, inside: readonly Branched[]): readonly Branched[] | null {
  const branches = Map.groupBy(inside, ({ at }) => at.slice(union.at.length + 1).split('/')[0])
  const similar = [...branches.values()].filter((branch) => !branch.some((mistake) => isOtherForm(mistake, union)))
  if (similar.length === 0 || onlyRequired(similar)) return null
  return similar.toSorted((one, other) => weight(one) - weight(other))[0] ?? null
}

function isOtherForm({ keyword, path }: Branched, union: Branched): boolean {
  return path.length === union.path.length && (keyword === 'type' || keyword === 'const' || keyword === 'enum')
}

/** `anyOf: [{ required: ['a'] }, { required: ['b'] }]` asks for a or b: neither alone is what is missing. */
function onlyRequired(branches: readonly (readonly Branched[])[]): boolean {
  return branches.length > 1 && branches.every((branch) => branch.every(({ keyword }) => keyword === 'required'))
}

/** A wrong constant tells that another branch was meant more than any other mistake does. */
function weight(branch: readonly Branched[]): number {
  return branch.length + 100 * branch.filter(({ keyword }) => keyword === 'const' || keyword === 'enum').length
}
