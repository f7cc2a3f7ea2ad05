/** JSON as others write it: odd white space and numbers, escapes nobody needs, a key twice; and JSON that broke. */
import fc from 'fast-check'
import { parseJson } from './value.ts'

/** Names that meet: those that tests edit, spelt plainly and with escapes, and some that only look like them. */
const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('"a"', '"b"', '"c"', '"\\u0061"', '"aa"', '""', '"__proto__"') },
  { weight: 1, arbitrary: fc.constantFrom('"ключ"', '"😀"', '"\\ud800"', '"q\\""', '"a\\\\"', '"a.b"') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)) },
)

const scalar = fc.oneof(
  fc.constantFrom('1.0', '12345678901234567890', '-0', '0', '1e5', '1E+05', '-1.5e-7', 'true', 'false', 'null'),
  fc.constantFrom('"\\u0041\\/\\b\\f\\n\\r\\t"', '"\\"}],{:"', '"\\\\"', '"\\\\\\""', '"\\uD83D\\uDE00\\udead"'),
  fc.string({ unit: 'binary', maxLength: 120 }).map((text) => JSON.stringify(text)),
  fc.double({ noDefaultInfinity: true, noNaN: true }).map((number) => JSON.stringify(number)),
)

const space = fc.constantFrom('', '', '', ' ', '\n\t', '\r\n  ')

const { object } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, scalar, tie('object'), tie('array')),
  array: fc
    .tuple(fc.array(tie('value'), { maxLength: 4 }), space)
    .map(([values, space]) => `[${space}${values.join(`${space},`)}${space}]`),
  object: fc
    .tuple(fc.array(fc.tuple(key, space, tie('value')), { maxLength: 6 }), space)
    .map(
      ([members, space]) =>
        `{${space}${members.map(([k, s, v]) => `${s}${k}${s}:${space}${v}`).join(`${space},`)}${space}}`,
    ),
}))

/** The text of one JSON object. */
export const objectText: fc.Arbitrary<string> = fc.tuple(space, object, space).map((parts) => parts.join(''))

/** Bytes that were one JSON object until some of them were changed, lost, repeated or put in between. */
export const brokenBytes: fc.Arbitrary<Buffer> = fc
  .tuple(objectText, fc.array(fc.tuple(fc.nat(), fc.nat(5), fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }))
  .map(([text, wounds]) => wounds.reduce(wounded, Buffer.from(text)))

const telling = Buffer.from('{}[],:"\\u0-.eE+ tfn\n\u0000\u001f')

function wounded(bytes: Buffer, [place, kind, choice, noise]: [number, number, number, number]): Buffer {
  const at = place % bytes.length
  const [before, here, behind] = [bytes.subarray(0, at), bytes.subarray(at, at + 1), bytes.subarray(at + 1)]
  const put = Buffer.from([kind === 5 ? noise : telling[choice % telling.length]!])
  if (kind === 0) return Buffer.concat([before, behind, Buffer.from(' ')])
  if (kind === 1) return Buffer.concat([before, here, here, behind])
  if (kind === 2) return Buffer.concat([before, Buffer.from(' ')])
  return kind === 3 ? Buffer.concat([before, put, here, behind]) : Buffer.concat([before, put, behind])
}

/** A parsed object. */
export type Parsed = Record<string, unknown>

/** What JSON.parse makes of the bytes where that is an object, else null; without the fault that `parseJson` tells of. */
export function parsed(bytes: Buffer): Parsed | null {
  try {
    const value = parseJson(bytes.toString())
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

export function isObject(value: unknown): value is Parsed {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
