/** Whatever a text is, reading it ends in a configuration or in problems that can be shown. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assert as holds, asyncProperty, constantFrom, integer, string, tuple, uint8Array, array } from 'fast-check'
import { parse as readYaml } from 'yaml'
import { example, parse } from './load.fixture.ts'
import { render } from './problems.ts'
import { runs } from '../../test/runs.ts'

const secret = 'S3cret-value-0123456789'

describe('a text of any kind is a configuration or has problems', () => {
  test('random characters', () =>
    holds(asyncProperty(string({ unit: 'binary', maxLength: 200 }), isAnswered), runs(500)))

  test('random bytes', () =>
    holds(
      asyncProperty(uint8Array({ maxLength: 300 }), (bytes) => isAnswered(Buffer.from(bytes).toString('utf8'))),
      runs(500),
    ))

  test('pieces of YAML in any order', () =>
    holds(
      asyncProperty(array(constantFrom(...pieces), { maxLength: 40 }), (parts) => isAnswered(parts.join(''))),
      runs(1500),
    ))

  test('a sound file with something put in', () => {
    const edits = array(
      tuple(integer({ min: 0, max: example.length }), integer({ min: 0, max: 12 }), constantFrom(...pieces)),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    return holds(
      asyncProperty(edits, (changes) => isAnswered(changes.reduce(edited, example))),
      runs(1500),
    )
  })

  test('brackets to any depth', async () => {
    for (const depth of [10, 100, 1000, 20_000]) {
      await isAnswered('['.repeat(depth))
      await isAnswered(`plugins: ${'['.repeat(depth)}${']'.repeat(depth)}`)
      await isAnswered(`plugins: [{ everything: { set: ${'{ a: '.repeat(depth)}1${' }'.repeat(depth)} } }]`)
    }
  })

  test('every line of a sound file left out, one at a time', async () => {
    const lines = example.split('\n')
    for (const index of lines.keys()) await isAnswered(lines.toSpliced(index, 1).join('\n'))
  })

  test('every value of a sound file put in place of every other', async () => {
    const paths = leaves(readYaml(example), [])
    for (const value of [null, true, 0, -1, '', 'x', '${A}', [], {}, [null], { x: null }]) {
      for (const path of paths) await isAnswered(JSON.stringify(changed(readYaml(example), path, value)))
    }
  })
})

/** With a secret in the environment under every name that the pieces ask for. */
async function isAnswered(text: string): Promise<void> {
  const { config, problems } = await parse(text, { A: secret })
  assert.equal(config === null, problems.length > 0, text)
  const lines = text.split('\n')
  for (const problem of problems) {
    const { line, column, message } = problem
    assert.ok(
      line >= 1 && line <= lines.length && column >= 1 && column <= (lines[line - 1] ?? '').length + 1,
      `${line}:${column} in ${text}`,
    )
    assert.ok(message.length > 0 && !render(problem).includes(secret), text)
  }
}

const words = (text: string) => text.split(' ')

const pieces = [
  [
    '\n',
    ' ',
    '  ',
    '    ',
    '\t',
    ': ',
    ':',
    '- ',
    '-',
    ',',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '|',
    '>',
    '&a ',
    '*a',
    '!x ',
    '#',
  ],
  ['---\n', '${', '${A}', '"${A}"', '${A:-', '$${', '%YAML 1.1\n', '? ', '<<: ', '\u0000', '\uFEFF', '\r'],
  words('listen admin log level limits drain trusted_proxies upstreams name provider url key models priority plugins'),
  words('ip-rules deny openai as everything store set free unmountable unusable __proto__ constructor toString'),
  words('null true ~ 1 -1 1e999 .nan 30s 1MiB a file: file:/ file:/dev/null 127.0.0.1:0 10.0.0.0/8 https://a:b@c'),
].flat()

function edited(text: string, [at, remove, insert]: readonly [number, number, string]): string {
  return text.slice(0, at) + insert + text.slice(at + remove)
}

function leaves(value: unknown, path: readonly string[]): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]))]
}

function changed(value: unknown, path: readonly string[], leaf: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined || typeof value !== 'object' || value === null) return leaf
  const copy: unknown[] | Record<string, unknown> = Array.isArray(value) ? [...value] : { ...value }
  return Object.assign(copy, { [key]: changed(Reflect.get(copy, key), rest, leaf) })
}
