/** core/body against the reference: what is an object, where its members are, what edits make of it. */
import { isDeepStrictEqual } from 'node:util'
import { JsonBody } from '../../core/body/body.ts'
import { applyPatch, deleteField, setField, type Edit } from '../../core/body/patch.ts'
import { findMember, isCalled, scanObject } from '../../core/body/scan.ts'
import { parseJson } from '../../core/body/value.ts'
import { edit, isObject, readObject, type Parsed } from './json-reference.ts'
import type { Random } from './random.ts'
import { Choices, Fault, utf8, type FuzzTarget } from './target.ts'

const fields = 'a b c a.b a.a b.a.c __proto__ __proto__.a ключ new.a aa'.split(' ')
const values: readonly unknown[] = [undefined, 1, 'x', null, { b: 1 }, [], '\ud800"\\', { a: { c: 0 } }, undefined]

const words =
  '{ } [ ] : , "a" "b" "c" "\\u0061" "\\u0062" "__proto__" "aa" "" "ключ" "\\ud800" "\\ud83d\\ude00" "\\\\" "a.b" "\\"" 1.0 -0 1e5 ' +
  'true false null "\\/\\b\\f" "a":1, "\\u0061":2, {"a":{"b":1}} [[[[ ]]]] 12345678901234567890 0.1e-7 \\u \\ude00'

export const json: FuzzTarget = {
  name: 'json',
  about: 'core/body (scan, patch, body) and its JSON.parse against a reference parser that shares nothing with either',
  covers: ['core/body/', 'test/fuzz/json-reference.ts'],
  starts: utf8(
    '\x00{"a":1,"\\u0061":2}',
    '\x00 { "model" : "x", "n":1.0, "r":{"effort":"minimal"}, "t":[true,false,null,-1.5e-7] } ',
    '\x02\x00\x01\x03\x00{"a":{"b":1,"b":2},"c":"\\u0041\\n\\ud83d\\ude00"}',
    '\x01\x05\x04{"b":{"a":[[],{}]},"ключ":"😀"}',
  ),
  words: utf8(...words.split(' '), ' ', '\n\t', '\u2028', 'sixteen bytes of plain text'),
  longest: 4096,
  batch: 2000,
  make,
  open: async () => ({ run, async [Symbol.asyncDispose]() {} }),
}

/** An object with names that meet, in several spellings. */
function make(random: Random): Buffer {
  const edits = random.below(6)
  const choices = Array.from({ length: 2 * edits }, () => random.below(256))
  return Buffer.concat([Buffer.of(edits, ...choices), Buffer.from(object(random, 3))])
}

const names = [
  '"a"',
  '"b"',
  '"c"',
  '"\\u0061"',
  '"\\u0062"',
  '"aa"',
  '"\\\\"',
  '"__proto__"',
  '"\\u005cu"',
  '"ключ"',
  '"\\ud800"',
  '""',
]
const scalars = ['1', '1.0', '-0', '"x"', '"\\n\\u0041"', 'true', 'null', '[]', '{}', '1e5', '"😀"', '"\\""']

function object(random: Random, depth: number): string {
  const space = random.pick(['', '', ' ', '\n '])
  const value = (): string => {
    const kind = depth === 0 ? 0 : random.below(6)
    if (kind === 4) return object(random, depth - 1)
    // Objects beside each other are what V8 shares shapes among.
    if (kind === 5) return `[${Array.from({ length: random.below(4) }, () => object(random, depth - 1)).join(',')}]`
    return random.pick(scalars)
  }
  const members = Array.from({ length: random.below(6) }, () => `${space}${random.pick(names)}${space}:${value()}`)
  return `${space}{${members.join(`${space},`)}${space}}`
}

function run(input: Buffer): string {
  const choices = new Choices(input)
  const edits = Array.from({ length: choices.below(6) }, () => ({
    field: choices.pick(fields),
    value: choices.pick(values),
  }))
  const bytes = choices.rest()
  const reference = readObject(bytes.toString())
  const parsed = parsedBy(bytes)
  if (!isDeepStrictEqual(parsed, reference)) throw new Fault('parseJson says what the reference says')
  const members = scanObject(bytes)
  if ((members === null) !== (reference === null)) throw new Fault('an object is one for the scan and the reference')
  if (members === null || reference === null) return 'none'
  for (const [name, value] of Object.entries(reference)) {
    const member = findMember(bytes, members, name)
    if (!member) throw new Fault('every member is found', name)
    const found = parseJson(bytes.toString('utf8', member.start, member.end))
    if (!isDeepStrictEqual(found, value)) throw new Fault('of several members the last is found', name)
  }
  checkEdits(bytes, reference, edits)
  const names = Object.keys(reference).length
  const escaped = members.some((member) => member.escaped)
  return `object, ${names < members.length ? 'names twice' : 'names once'}${escaped ? ', escapes' : ''}, ${edits.length} edits`
}

function checkEdits(bytes: Buffer, reference: Parsed, edits: readonly { field: string; value: unknown }[]): void {
  const spelt = edits.map(({ field, value }): Edit =>
    value === undefined ? deleteField(field) : setField(field, value),
  )
  const patched = applyPatch(bytes, spelt)
  const body = new JsonBody(bytes)
  for (const { field, value } of edits) {
    edit(reference, field, value)
    if (value === undefined) body.delete(field)
    else body.set(field, value)
    if (!isDeepStrictEqual(body.get(field), fieldOf(reference, field))) throw new Fault('a field has its edits', field)
  }
  if (!isDeepStrictEqual(readObject(patched.toString()), reference))
    throw new Fault('a patch is its edits', told(patched))
  if (!isDeepStrictEqual(readObject(body.bytes.toString()), reference)) throw new Fault('a body has its edits')
  const names = [...new Set(edits.map(({ field }) => field.split('.')[0]!))]
  if (!isDeepStrictEqual(others(patched, names), others(bytes, names)))
    throw new Fault('what no edit names stays as it is spelt', told(patched))
}

/** The members, key to value, that have none of the names, as they are spelt. */
function others(bytes: Buffer, names: readonly string[]): string[] {
  const untouched = scanObject(bytes)!.filter((member) => !names.some((name) => isCalled(bytes, member, name)))
  return untouched.map(({ keyStart, end }) => bytes.toString('latin1', keyStart - 1, end))
}

function fieldOf(object: Parsed, field: string): unknown {
  let value: unknown = object
  for (const name of field.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
    value = Object.getOwnPropertyDescriptor(value, name)?.value
  }
  return value
}

function parsedBy(bytes: Buffer): Parsed | null {
  try {
    const value = parseJson(bytes.toString())
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function told(bytes: Buffer): string {
  return JSON.stringify(bytes.toString().slice(0, 200))
}
