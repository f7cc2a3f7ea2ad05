import { Ajv } from 'ajv'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse as readYaml } from 'yaml'
import { editorSchema, optionTable } from './editor.ts'
import { example, plugin, plugins } from './load.fixture.ts'

describe('the schema for editors', () => {
  const usable = plugins.filter(({ name }) => name !== 'unusable')
  const schema = editorSchema(usable)
  const validate = new Ajv({ strict: false, allErrors: true }).compile(schema)
  const accepts = (text: string) => validate(readYaml(text))

  test('is draft-07 without anything that editors do not know', () => {
    const text = JSON.stringify(schema)
    assert.match(text, /"\$schema":"http:\/\/json-schema\.org\/draft-07\/schema#"/)
    assert.doesNotMatch(text, /"format"/)
    assert.ok(new Ajv({ strict: false }).validateSchema(schema))
  })

  test('accepts what the gateway accepts', () => {
    assert.ok(accepts(example), JSON.stringify(validate.errors))
    assert.ok(
      accepts(
        'plugins: [ip-rules, { ip-rules: }, { ip-rules: { deny: [::1] } }, ./ours, "@a/b", { ./ours: { x: 1 } }]',
      ),
    )
    assert.ok(accepts('admin: false'))
  })

  const references = [
    'listen: ${L}',
    'admin: ${A}',
    'log: { level: "${L:-info}" }',
    'limits: { drain: "${D}s", body: "file:size" }',
    'upstreams: [{ name: "${N}", provider: "${P}", url: "${U}", priority: "${I}", models: ["${M}"] }]',
    'plugins: ["${P}", { everything: { attempts: "${A}", strict: "${S}", mode: "${M}", store: "${X}" } }]',
  ]
  for (const text of references) test(`accepts a reference anywhere: ${text}`, () => assert.ok(accepts(text)))

  const wrong = [
    'lisen: x',
    'listen: 8787',
    'limits: { drain: 30 }',
    'limits: { drain: 30 s }',
    'log: { level: loud }',
    'upstreams: [{ name: a }]',
    'upstreams: [{ name: a, provider: b, url: ftp://x }]',
    'plugins: [ip-rulez]',
    'plugins: [{ ip-rules: { alow: [] } }]',
    'plugins: [{ ip-rules: {}, openai: {} }]',
    'plugins: [api-keys: ]',
    'plugins: [{ everything: { attempts: 11 } }]',
  ]
  for (const text of wrong) test(`refuses what the gateway refuses: ${text}`, () => assert.ok(!accepts(text)))

  test('describes every key and every plugin', () => {
    const text = JSON.stringify(schema)
    assert.match(text, /\{"const":"ip-rules","description":"Admits and refuses clients by their address\."\}/)
    const undescribed = Object.entries((schema as { properties: object }).properties).filter(
      ([, key]) => !key.description,
    ) // as built
    assert.deepEqual(undescribed, [])
  })

  test('keeps the defaults, for completion', () => {
    assert.match(JSON.stringify(schema), /"default":"32MiB"/)
    assert.match(JSON.stringify(schema), /"description":"A number\.","default":3/)
  })
})

describe('the table of options', () => {
  const tableOf = (name: string) => optionTable(plugins.find((known) => known.name === name) ?? plugin(name, true))

  test('has type, default and description, nested options with dots', () => {
    assert.equal(
      tableOf('everything'),
      [
        '| Option | Type | Default | What it says |',
        '| --- | --- | --- | --- |',
        '| `attempts` | whole number | `3` | A number. |',
        '| `factor` | number | `1.5` | Another. |',
        '| `mode` | `fast`, `safe` | `safe` | A choice. |',
        '| `strict` | boolean | `true` | A switch. |',
        '| `label` | text | `""` | Small letters only. |',
        '| `rest` | map | `{}` | A map. |',
        '| `rest.min` | duration | `1s` | The shortest. |',
        '| `rest.max` | duration | `1m` | The longest. |',
        '| `store` | `memory` or map | `memory` | One of several forms. |',
        '| `store.url` | URL | required | Where it is. |',
        '| `store.password` | secret | – | What it asks for. |',
        '| `store.ttl` | duration | `1h` | How long it keeps. |',
        '| `set` | map | `{}` | Anything. |',
        '| `tags` | list of texts | `[]` | Each once. |',
        '| `free` | any | `null` | Any value at all. |',
      ].join('\n'),
    )
  })

  test('follows lists of maps, and lets no bar break it', () => {
    assert.equal(
      tableOf('api-keys'),
      [
        '| Option | Type | Default | What it says |',
        '| --- | --- | --- | --- |',
        '| `keys` | list of maps | required | The keys \\| who has them. |',
        '| `keys[].name` | text | required | Who it is. |',
        '| `keys[].key` | secret | required | What they send. |',
      ].join('\n'),
    )
  })

  test('is a sentence where there is nothing to set', () => {
    assert.equal(tableOf('router'), 'It has no options.')
    assert.equal(tableOf('another'), 'It has no options.')
  })
})
