import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Upstream } from 'postern/plugin'
import { Secret } from '../../core/secret.ts'
import { Members } from './members.ts'
import { Standing } from './rests.ts'

const now = 1_800_000_000_000
const until = (seconds: number) => now + seconds * 1000

describe('a rest', () => {
  test('is only ever extended', () => {
    const standing = new Standing(new Set())
    assert.equal(standing.raise({ kind: 'limit', until: until(30), reason: '429' }, now), Infinity)
    assert.equal(standing.raise({ kind: 'limit', until: until(10), reason: '429' }, now), 0)
    assert.equal(standing.rest(now)?.until, until(30))
    assert.equal(standing.raise({ kind: 'limit', until: until(60), reason: '429' }, now), 30_000)
    assert.equal(standing.rest(now)?.until, until(60))
    assert.equal(standing.rest(until(60)), null)
  })

  test('that comes after one that is over has begun anew', () => {
    const standing = new Standing(new Set())
    standing.raise({ kind: 'limit', until: until(30), reason: '429' }, now)
    assert.equal(standing.raise({ kind: 'limit', until: until(31), reason: '429' }, until(30)), Infinity)
  })

  test('of health leaves the limit as it is, and is not among the firm ones', () => {
    const standing = new Standing(new Set())
    standing.raise({ kind: 'health', until: until(60), reason: '503' }, now)
    assert.equal(standing.firmRest(now), null)
    standing.raise({ kind: 'limit', until: until(20), reason: '429' }, now)
    standing.raise({ kind: 'refused', until: until(40), reason: '401' }, now)
    assert.equal(standing.rest(now)?.kind, 'health')
    assert.equal(standing.firmRest(now)?.kind, 'refused')
  })

  test('without a time doubles each time in a row, up to its longest', () => {
    const standing = new Standing(new Set())
    const lengths = [0, 1, 2, 3, 4, 5].map((at) => standing.grown(2000, 20_000, until(at), until(at)))
    assert.deepEqual(lengths, [2000, 4000, 8000, 16_000, 20_000, 20_000])
    standing.proved(until(6))
    assert.equal(standing.grown(2000, 20_000, until(7), until(7)), 2000)
  })

  test('does not grow by what was sent before it began', () => {
    const standing = new Standing(new Set())
    assert.equal(standing.grown(2000, 20_000, until(0), until(1)), 2000)
    assert.equal(standing.grown(2000, 20_000, until(0.5), until(1.1)), null)
    assert.equal(standing.grown(2000, 20_000, until(2), until(3)), 4000)
  })

  test('long ago is no row', () => {
    const standing = new Standing(new Set())
    standing.grown(2000, 20_000, until(0), until(0))
    standing.grown(2000, 20_000, until(1), until(1))
    assert.equal(standing.grown(2000, 20_000, until(700), until(700)), 2000)
  })
})

describe('after a rest for its health', () => {
  test('it recovers until an answer to a later request has come', () => {
    const marked = new Set<Standing>()
    const standing = new Standing(marked)
    standing.grown(1000, 1000, now, now)
    standing.raise({ kind: 'health', until: until(1), reason: '503' }, now)
    assert.equal(standing.isRecovering(now), false, 'it still rests')
    assert.equal(standing.isRecovering(until(2)), true)
    standing.proved(now - 1)
    assert.equal(standing.isRecovering(until(2)), true, 'that was sent before')
    standing.forgetIfOver(until(2))
    assert.equal(marked.size, 1)
    standing.proved(until(2))
    assert.equal(standing.isRecovering(until(2)), false)
    standing.forgetIfOver(until(2))
    assert.equal(marked.size, 0)
  })

  test('it has to prove nothing any more when nobody has asked it for an hour', () => {
    const marked = new Set<Standing>()
    const standing = new Standing(marked)
    standing.raise({ kind: 'health', until: until(1), reason: '503' }, now)
    standing.forgetIfOver(until(3000))
    assert.equal(marked.size, 1)
    standing.forgetIfOver(until(3602))
    assert.equal(marked.size, 0)
    assert.equal(standing.isRecovering(until(3602)), false)
  })

  test('it does not have to after a limit', () => {
    const standing = new Standing(new Set())
    standing.raise({ kind: 'limit', until: until(1), reason: '429' }, now)
    assert.equal(standing.isRecovering(until(2)), false)
  })
})

describe('who is known', () => {
  const upstream = (more: Partial<Upstream> = {}): Upstream => ({
    name: 'a',
    provider: 'openai',
    url: new URL('http://127.0.0.1:1'),
    key: new Secret('key'),
    models: null,
    priority: 0,
    slots: null,
    ...more,
  })

  test('is the same one in another version of gateway.yaml, unless its key or address is another', () => {
    const members = new Members()
    const one = members.of(upstream())
    assert.equal(members.of(upstream({ priority: 5 })), one)
    assert.notEqual(members.of(upstream({ key: new Secret('other') })), one)
    assert.notEqual(members.of(upstream({ key: null })), one)
    assert.notEqual(members.of(upstream({ url: new URL('http://127.0.0.1:2') })), one)
    assert.ok(!one.id.includes('key'))
  })

  test('has the models that rest kept, however many names clients make up', () => {
    const members = new Members()
    const one = members.of(upstream())
    one.of('real').raise({ kind: 'limit', until: until(60), reason: '429' }, now)
    for (let at = 0; at < 1000; at++) one.of(`made-up-${at}`)
    assert.equal(one.models.size, 200)
    assert.equal(one.rest('real', now)?.kind, 'limit')
    assert.equal(one.rest('made-up-999', now), null)
  })

  test('rests for a model as long as the longer of both rests says', () => {
    const one = new Members().of(upstream())
    one.of('m').raise({ kind: 'limit', until: until(60), reason: '429' }, now)
    one.whole.raise({ kind: 'health', until: until(90), reason: '503' }, now)
    assert.equal(one.rest('m', now)?.until, until(90))
    assert.equal(one.firmRest('m', now)?.until, until(60))
    assert.equal(one.firmRest('other', now), null)
  })

  test('is calm when the last rest is over', () => {
    const members = new Members()
    members.of(upstream()).whole.raise({ kind: 'limit', until: until(1), reason: '429' }, now)
    assert.equal(members.isCalm, false)
    members.sweep(now)
    assert.equal(members.isCalm, false)
    members.sweep(until(2))
    assert.equal(members.isCalm, true)
  })
})
