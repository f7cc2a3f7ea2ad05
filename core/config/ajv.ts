/** The adapter to ajv. */
import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js'
import type { JSONSchema } from 'json-schema-to-ts'
import { formats } from './formats.ts'

/** Compiles a schema, each once. Throws where it is none, with words for its author. */
export function strict(schema: JSONSchema): ValidateFunction {
  return compiledBy(whole, schema)
}

/** Compiles a part of a schema, such as `{ required: ['a'] }`, which leaves to the one around it what a whole one must say to be strict. */
export function lenient(schema: JSONSchema): ValidateFunction {
  return compiledBy(part, schema)
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
const whole = compiler(new Ajv2020({ ...options, strict: true, strictRequired: false, allowUnionTypes: true }))
// What it is given are parts of schemas that the strict one has taken: nobody has to look at them again.
const part = compiler(new Ajv2020({ ...options, strict: false, strictNumbers: true, validateSchema: false }))

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
