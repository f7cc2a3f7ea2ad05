/** The adapter to ajv: what a value does against a schema, one mistake at a time, without the echo. */
import { Ajv2020, type ErrorObject, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import type { JSONSchema } from 'json-schema-to-ts'
import type { Path } from './document.ts'
import { formats } from './formats.ts'

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

/** Every mistake, the branches of an `anyOf` as well: what of them was meant is for `meant` to say. */
export function findMistakes(schema: JSONSchema, value: unknown): readonly Branched[] {
  const validate = compile(schema)
  if (validate(value)) return []
  const errors = validate.errors ?? []
  // The inner half of a `propertyNames` mistake: the outer half names the key.
  return errors.filter((error) => error.propertyName === undefined).map(branched)
}

/** A mistake with its place in the schema, which tells the branches of an `anyOf` apart. */
export interface Branched extends Mistake {
  readonly at: string
}

/** Whether a value satisfies a schema, which may be a part of another one. */
export function accepts(schema: JSONSchema, value: unknown): boolean {
  // A part, such as `{ required: ['a'] }`, leaves to the schema around it what a whole one must say to be strict.
  return compiledBy(lenient, schema)(value)
}

/** Compiles a schema, each once. Throws where it is none, with words for its author. */
function compile(schema: JSONSchema): ValidateFunction {
  return compiledBy(strict, schema)
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

const options: Options = {
  allErrors: true,
  verbose: true,
  addUsedSchema: false,
  formats: Object.fromEntries(
    Object.entries(formats).map(([name, { test }]) => [
      name,
      { type: 'string', validate: (text: string) => test(text) },
    ]),
  ),
  // Defaults are not ajv's: it ignores them inside of `anyOf`, refuses a default that does not fit its own pattern (an
  // option that is '' unless given) and changes the value it is given. `settle` applies them.
  useDefaults: false,
}

// `strictRequired` refuses `required` next to `anyOf`, which is how one says "a or b".
const strict = compiler(new Ajv2020({ ...options, strict: true, strictRequired: false, allowUnionTypes: true }))
// What it is given are parts of schemas that the strict one has taken: looking at them again took 30 ms of each start.
const lenient = compiler(new Ajv2020({ ...options, strict: false, validateSchema: false }))

interface Compiler {
  readonly ajv: Ajv2020
  readonly compiled: WeakMap<object, ValidateFunction>
}

function compiler(ajv: Ajv2020): Compiler {
  return { ajv, compiled: new WeakMap() }
}

function compiledBy({ ajv, compiled }: Compiler, schema: JSONSchema): ValidateFunction {
  if (typeof schema === 'boolean') return ajv.compile(schema)
  const known = compiled.get(schema) ?? ajv.compile(schema)
  compiled.set(schema, known)
  return known
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
