import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { definePlugin } from '../plugin.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { emptyBody, JsonBody, overlayOf, streamedBody, unreadBody } from './body.ts'
import { objectText, parsed } from './json.fixture.ts'
import { runs } from '../../test/runs.ts'

const body = (text: string) => new JsonBody(Buffer.from(text))

describe('a field of a JSON body', () => {
  test('is found at the top and, with dots, below', () => {
    const it = body('{"a": {"b": {"c": [1, 2]}}, "model" : "x", "n":1e3, "t":true, "z":null }')
    assert.equal(it.get('model'), 'x')
    assert.deepEqual(it.get('a.b.c'), [1, 2])
    assert.equal(it.get('n'), 1000)
    assert.equal(it.get('t'), true)
    assert.equal(it.get('z'), null)
    for (const absent of ['b', 'a.c', 'model.x', 'a.b.c.0', '']) assert.equal(it.get(absent), undefined, absent)
  })

  test('is the last of several, and found under an escaped spelling of its name', () => {
    assert.equal(body('{"model":"a","model":"b"}').get('model'), 'b')
    assert.equal(body('{"m\\u006fdel":"a"}').get('model'), 'a')
    assert.equal(body('{"model":"a","m\\u006fdel":"b"}').get('model'), 'b')
  })

  test('is not mistaken for one inside a string or deeper down', () => {
    assert.equal(body('{"x":"\\"model\\":\\"no\\"","y":{"model":"no"},"model":"yes"}').get('model'), 'yes')
    assert.equal(body('{"x":"\\\\","model":"yes"}').get('model'), 'yes')
  })

  test('is parsed once, and nobody can change what others will be given', () => {
    const it = body('{"a":{"b":[{"c":1}]}}')
    // As the text above says.
    const value = it.get('a') as { b: { c: number }[] }
    assert.equal(it.get('a'), value)
    assert.throws(() => (value.b[0]!.c = 2), TypeError)
    assert.throws(() => value.b.push({ c: 3 }), TypeError)
    it.set('a.d', { e: 1 })
    assert.throws(() => Object.assign(it.get('a.d') as object, { e: 2 }), TypeError) // an object was set
    assert.deepEqual(it.get('a'), { b: [{ c: 1 }], d: { e: 1 } })
  })

  test('may be a million brackets deep, or have a million items', () => {
    assert.ok(Array.isArray(body(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`).get('a')))
    assert.ok(Object.isFrozen(body(`{"a":[${'{},'.repeat(1e6)}{}]}`).get('a')))
  })

  test('of a body that is no object is not there', () => {
    for (const text of ['[1]', '', '{"a":1', '\ufeff{"a":1}']) {
      assert.equal(body(text).isObject, false, text)
      assert.equal(body(text).get('a'), undefined, text)
    }
  })
})

describe('an edited body', () => {
  test('is read with its edits, and keeps the bytes that came', () => {
    const came = Buffer.from('{"model":"a", "n":1.0, "r":{"effort":"minimal"}}')
    const it = new JsonBody(came)
    assert.equal(it.bytes, came)
    assert.equal(it.get('model'), 'a')
    it.set('model', 'b')
    it.delete('n')
    it.set('r.effort', 'none')
    assert.equal(it.get('model'), 'b')
    assert.equal(it.get('n'), undefined)
    assert.equal(it.get('r.effort'), 'none')
    assert.deepEqual(it.get('r'), { effort: 'none' })
    assert.equal(it.bytes.toString(), '{"model":"b", "r":{"effort":"none"}}')
    assert.equal(it.bytes, it.bytes)
    assert.equal(it.original, came)
    assert.equal(came.toString(), '{"model":"a", "n":1.0, "r":{"effort":"minimal"}}')
  })

  test('says what JSON.parse says of its bytes, whenever it is asked', () => {
    const field = fc.constantFrom('a', 'b', 'a.a', 'a.b', 'b.c', '__proto__', 'aa')
    const step = fc.tuple(fc.constantFrom('set', 'delete', 'get', 'bytes'), field, fc.jsonValue({ maxDepth: 2 }))
    fc.assert(
      fc.property(objectText, fc.array(step, { maxLength: 8 }), (text, steps) => {
        const [often, once] = [body(text), body(text)]
        for (const [what, field, value] of steps) {
          if (what === 'get') assert.deepEqual(often.get(field), pick(once.overlay().bytes, field))
          else if (what === 'bytes') assert.ok(often.bytes)
          else for (const it of [often, once]) it[what === 'set' ? 'set' : 'delete'](field, value)
        }
        assert.deepEqual(parsed(often.bytes), parsed(once.bytes))
      }),
      runs(2000),
    )
  })
})

describe('an overlay', () => {
  test('without edits has the very same bytes, and what was parsed already', () => {
    const it = body('{"a":{"b":1}}')
    const overlay = overlayOf(it)
    assert.equal(overlay.bytes, it.bytes)
    assert.equal(overlay.get('a'), it.get('a'))
  })

  test('shows its edits to nobody: attempt 2 never sees those of attempt 1', () => {
    const it = body('{"model":"a","max_output_tokens":5,"r":{"effort":"minimal"}}')
    it.set('model', 'onBody')
    const before = it.bytes
    const first = overlayOf(it)
    first.set('model', 'one')
    first.delete('max_output_tokens')
    first.set('r.effort', 'none')
    assert.equal(first.bytes.toString(), '{"model":"one","r":{"effort":"none"}}')
    const second = overlayOf(it)
    assert.equal(second.bytes, before)
    assert.equal(second.get('model'), 'onBody')
    assert.equal(second.get('max_output_tokens'), 5)
    assert.equal(second.get('r.effort'), 'minimal')
    second.set('model', 'two')
    assert.equal(first.get('model'), 'one')
    assert.equal(it.get('model'), 'onBody')
    assert.equal(it.bytes, before)
  })
})

describe('a request that is sent twice', () => {
  test('has the edits of onBody in both bodies, and those of each attempt in its own', async () => {
    const editor = definePlugin({
      name: 'editor',
      config: { type: 'object', properties: {} },
      setup: () => ({
        onBody: ({ body }) => body.set('metadata.by', 'us'),
        onUpstreamRequest({ attempt }, { body }) {
          if (attempt === 1) body.delete('max_output_tokens')
          body.set('model', `${String(body.get('model'))}-${attempt}`)
        },
      }),
    })
    await using fake = await fakeUpstream((...asked) => json(fake.asked.length === 1 ? 503 : 200, {})(...asked))
    const upstreams = ['one', 'two'].map((name) => ({ name, provider: 'openai', url: fake.url, key: 'k' }))
    await using gw = await gateway({ plugins: ['openai', editor, 'failover'], upstreams })
    const answer = await fetch(`${gw.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{ "model":"m", "temperature":1.0, "max_output_tokens":5 }',
    })
    assert.equal(answer.status, 200)
    await answer.text()
    assert.deepEqual(
      fake.asked.map(({ body }) => body.toString()),
      [
        '{ "model":"m-1", "temperature":1.0,"metadata":{"by":"us"} }',
        '{ "model":"m-2", "temperature":1.0, "max_output_tokens":5,"metadata":{"by":"us"} }',
      ],
    )
    assert.deepEqual(
      fake.asked.map(({ headers, body }) => Number(headers['content-length']) === body.length),
      [true, true],
    )
  })
})

describe('a body that cannot be edited', () => {
  test('says so, and why', () => {
    for (const it of [overlayOf(streamedBody), streamedBody]) {
      assert.throws(() => it.set('model', 'x'), /exchange\.body\.set\('model'\): this body streams through/)
      assert.throws(() => it.delete('model'), /exchange\.body\.delete\('model'\): this body streams through/)
      assert.throws(() => it.bytes, /streams through/)
      assert.equal(it.get('model'), undefined)
    }
    assert.throws(() => emptyBody.set('model', 'x'), /has no body/)
    assert.throws(() => overlayOf(emptyBody).delete('model'), /has no body/)
  })

  test('because it is not here yet says that', () => {
    for (const act of [
      () => unreadBody.get('model'),
      () => unreadBody.set('model', 'x'),
      () => unreadBody.delete('model'),
      () => unreadBody.bytes,
      () => unreadBody.kind,
    ])
      assert.throws(act, /onBody and later/)
  })
})

/** The naive way to look a field up. */
function pick(bytes: Buffer, field: string): unknown {
  let value: unknown = parsed(bytes)
  for (const name of field.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
      return undefined
    value = Object.getOwnPropertyDescriptor(value, name)?.value
  }
  return value
}
