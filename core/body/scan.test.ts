import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { brokenBytes, objectText, parsed } from './json.fixture.ts'
import { findMember, scanObject } from './scan.ts'
import { parseJson } from './value.ts'
import { compiledFrom, room } from './walker.ts'
import { runs } from '../../test/runs.ts'

const scan = (text: string) => scanObject(Buffer.from(text))

/** Scan and JSON.parse agree: on whether it is an object, on its names, and on the value of each. */
function agree(bytes: Buffer): void {
  const members = scanObject(bytes)
  const wanted = parsed(bytes)
  assert.equal(members !== null, wanted !== null, JSON.stringify(bytes.toString('latin1')))
  if (!wanted || !members) return
  for (const { keyStart, keyEnd, escaped } of members) {
    assert.equal(escaped, bytes.subarray(keyStart, keyEnd).includes('\\'))
    assert.ok(Object.hasOwn(wanted, JSON.parse(bytes.toString('utf8', keyStart - 1, keyEnd + 1))))
  }
  for (const [name, value] of Object.entries(wanted)) {
    const member = findMember(bytes, members, name)
    assert.ok(member, name)
    assert.deepEqual(parseJson(bytes.toString('utf8', member.start, member.end)), value)
  }
}

describe('the members of an object', () => {
  test('are told in their order, duplicates included, with the places of key and value', () => {
    const bytes = Buffer.from(' {"a" : 1.0,"b":[{"a":2}],\n"\\u0061": {} ,"":"x"} ')
    const told = scanObject(bytes)?.map(({ keyStart, keyEnd, start, end, escaped }) => [
      bytes.toString('utf8', keyStart, keyEnd),
      bytes.toString('utf8', start, end),
      escaped,
    ])
    assert.deepEqual(told, [
      ['a', '1.0', false],
      ['b', '[{"a":2}]', false],
      ['\\u0061', '{}', true],
      ['', '"x"', false],
    ])
  })

  test('are found between two places', () => {
    const bytes = Buffer.from('{"x":{"y":1}}')
    assert.deepEqual(scanObject(bytes, 5, 12), [{ keyStart: 7, keyEnd: 8, escaped: false, start: 10, end: 11 }])
    assert.equal(scanObject(bytes, 5, 11), null)
  })

  test('are what JSON.parse finds, however the object is spelt', () => {
    fc.assert(
      fc.property(objectText, (text) => {
        assert.ok(scan(text), text)
        agree(Buffer.from(text))
      }),
      runs(3000),
    )
  })

  test('are found by an escaped name, by the last of several, by one that is no ASCII', () => {
    const bytes = Buffer.from('{"a":1,"\\u0061":2,"ключ":3,"кл":4,"\\ud800":5,"\ufffd":6}')
    const members = scanObject(bytes)!
    const value = (name: string) => {
      const member = findMember(bytes, members, name)
      return member && bytes.toString('utf8', member.start, member.end)
    }
    const names = ['a', 'ключ', 'кл', '\ud800', '\ufffd', 'aa', '', '\\u0061']
    assert.deepEqual(names.map(value), ['2', '3', '4', '5', '6', null, null, null])
  })
})

describe('bytes that are no object', () => {
  const tops = ['', ' ', '1', 'null', '"x"', '[]', '[{}]', '{', '}', '{}x', '{} {}', '{}\0', '\ufeff{}', '\u00a0{}']
  const members = [
    '{,}',
    '{"a"}',
    '{"a":}',
    '{a:1}',
    '{"a":1,}',
    '{"a" "b"}',
    '{"a":1 "b":2}',
    '{"a"::1}',
    '{1:2}',
    "{'a':1}",
  ]
  const brackets = [
    '{"a":[1}',
    '{"a":{]}',
    '{"a":[1,]}',
    '{"a":[,1]}',
    '{"a":[1 2]}',
    '{"a":[}]',
    '{"a":[{]}]}',
    '{"a":[1:2]}',
  ]
  const numbers = [
    '01',
    '-',
    '+1',
    '1.',
    '.5',
    '1e',
    '1e+',
    '--1',
    '1.e5',
    '1e5.',
    '1e1e1',
    '-01',
    '0x1',
    'Infinity',
    'NaN',
  ]
  const words = ['tru', 'True', 'truex', 'nul', 'nulll', 'fals', 'undefined', 'true false', 'true"x"', 'ture']
  const strings = ['"x', '"x\\"', '"\\x"', '"\\u12"', '"\\u12g4"', '"\n"', '"\t"', '"\0"', '"\x1f"', '"a""b"', '"\\']
  const values = [...numbers, ...words, ...strings].flatMap((value) => [`{"a":${value}}`, `{"a":[{"b":${value}}]}`])

  test('are refused, as JSON.parse does, at any depth', () => {
    for (const text of [...tops, ...members, ...brackets, ...values]) {
      assert.equal(scan(text), null, text)
      assert.equal(parsed(Buffer.from(text)), null, text)
    }
  })

  test('are told from objects as JSON.parse does, wherever they broke', () => {
    fc.assert(fc.property(brokenBytes, agree), runs(6000))
  })

  test('are told apart whatever each byte is, in a string and outside of one', () => {
    for (let byte = 0; byte < 256; byte++) {
      const one = Buffer.from([byte])
      for (const [before, behind] of [
        '{"a":1|}',
        '{"a":"x|y"}',
        '{"a":"\\|"}',
        '{"a":"\\u00|0"}',
        '{"|":-|}',
        '|{}',
        '{"a":1.|}',
        '{"a":1|1}',
      ].map((text) => text.split('|')) as [string, string][])
        // each text has at least one mark
        agree(Buffer.concat([Buffer.from(before), one, Buffer.from(behind)]))
    }
  })

  test('are told from objects where escapes stand close together, in runs, and half outside the window', () => {
    const piece = fc.constantFrom(
      '\\\\',
      '\\"',
      '\\n',
      '\\u0041',
      '\\uD83d',
      'x',
      'u',
      '"',
      '\\',
      '\\\\\\\\\\\\',
      '\\/',
      'ж',
    )
    const good = fc.constantFrom('\\\\', '\\"', '\\n', '\\u0041', '\\\\\\\\\\\\', 'x', 'sixteen of plain', 'ж\\t')
    const one = fc.oneof({ weight: 60, arbitrary: good }, { weight: 1, arbitrary: piece })
    const tail = fc.constantFrom('', '"\\', '\\x', '\\u00g0', '\n', '\\u123')
    fc.assert(
      fc.property(fc.array(one, { maxLength: 60 }), tail, fc.nat(200), (pieces, tail, shift) => {
        const string = pieces.join('') + tail
        agree(Buffer.from(`{"${string}":1}`))
        agree(Buffer.from(`${' '.repeat(room - shift)}{"a":"${string}","b":["${string}"]}`))
      }),
      runs(3000),
    )
  })

  test('are never a reason to throw, whatever they are', () => {
    const noise = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(noise, (noise) => agree(Buffer.concat([Buffer.from('{"a":"'), noise]))),
      runs(1000),
    )
  })
})

describe('invalid UTF-8', () => {
  test('is read in strings and refused elsewhere, as after toString()', () => {
    for (const bad of [[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98], [0xc0, 0xa2]]) {
      agree(Buffer.from([...Buffer.from('{"a'), ...bad, ...Buffer.from('":"x'), ...bad, ...Buffer.from('"}')]))
      agree(Buffer.from([...Buffer.from('{"a":1'), ...bad, ...Buffer.from('}')]))
    }
  })
})

describe('a long body', () => {
  test('is walked in windows that may end anywhere', () => {
    const text = '{"a\\u0062":"\\ud83d\\"x","n":-12.50e+10,"w":[true,false,null,{}],"a":"\\\\","b" : 0 }'
    for (let shift = 0; shift <= text.length; shift++) {
      const bytes = Buffer.from(' '.repeat(room - shift) + text)
      agree(bytes)
      assert.equal(scanObject(bytes)?.length, 5)
      agree(Buffer.from(' '.repeat(room - shift) + text.replace('null', 'nulk')))
      agree(bytes.subarray(0, room))
    }
  })

  test('of one long string is one member, its length however near to that of a window', () => {
    for (let length = room - 40; length < room + 140; length++) {
      const bytes = Buffer.from(`{"a":"${'x'.repeat(length)}"}`)
      assert.equal(scanObject(bytes)?.[0]?.end, bytes.length - 1)
      bytes[length] = 0x1f
      assert.equal(scanObject(bytes), null)
    }
  })

  test('of nothing but members gives them all', () => {
    const count = 200_000
    assert.equal(scan(`{${'"":1,'.repeat(count - 1)}"":1}`)?.length, count)
  })

  const size = 32 * 2 ** 20
  const linear: Readonly<Record<string, readonly [string, string, string, boolean]>> = {
    'one string': ['{"a":"', 'x', '"}', true],
    backslashes: ['{"a":"', '\\\\', '"}', true],
    'backslashes that leave the string open': ['{"a":"\\', '\\\\', '"}', false],
    'escaped quotes': ['{"a":"', '\\"', '"}', true],
    'escaped letters': ['{"a":"', '\\u0430', '"}', true],
    'one number': ['{"a":', '1', '}', true],
    'white space': ['{', ' ', '}', true],
    'brackets that never close': ['{"a":', '[', '', false],
  }
  for (const [what, [before, unit, behind, isObject]] of Object.entries(linear)) {
    test(`of 32 MiB is walked in one go: ${what}`, () => {
      const bytes = Buffer.alloc(size + (size % unit.length), unit)
      const filled = bytes.subarray(0, Math.floor(size / unit.length) * unit.length)
      const started = performance.now()
      assert.equal(scanObject(Buffer.concat([Buffer.from(before), filled, Buffer.from(behind)])) !== null, isObject)
      assert.ok(performance.now() - started < 5000, 'that is no linear time')
    })
  }

  test('with nameless members is searched in linear time, though a backslash stands far behind', () => {
    const bytes = Buffer.from(`{${'"abc":1,'.repeat(300_000)}"z":"\\\\"}`)
    const started = performance.now()
    assert.equal(findMember(bytes, scanObject(bytes)!, 'absent'), null)
    assert.ok(performance.now() - started < 5000, 'that is no linear time')
  })
})

describe('brackets', () => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`

  test('are walked 1 000 and 1 000 000 deep', () => {
    for (const depth of [1000, 1_000_000]) {
      assert.equal(scan(nested(depth))?.length, 1)
      assert.equal(scan(nested(depth).slice(0, -1)), null)
      assert.equal(scan(nested(depth).replace('[]', '[}')), null)
    }
    assert.equal(scan('{"a":'.repeat(1000) + '1' + '}'.repeat(1000))?.length, 1)
  })

  test('are refused beyond 1 048 576, the one place where JSON.parse goes on', () => {
    assert.ok(scan(nested(2 ** 20 - 1)))
    assert.equal(scan(nested(2 ** 20)), null)
    assert.ok(scan('{}'), 'the next walk begins anew')
  })
})

test('walker.ts holds walker.as and strings.as as they stand', () => {
  const source = ['walker.as', 'strings.as'].map((name) => readFileSync(new URL(name, import.meta.url)))
  assert.equal(createHash('sha256').update(Buffer.concat(source)).digest('hex'), compiledFrom)
})
