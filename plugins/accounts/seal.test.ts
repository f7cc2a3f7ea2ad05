import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { CannotOpen, sealerOf } from './seal.ts'

const old = 'the secret that was there before this one'
const now = 'the secret that is there from now on, longer'
const credentials = { key: 'sk-secret-key-of-an-account' }
const cannot = (code: CannotOpen['code']) => (error: unknown) => {
  assert.ok(error instanceof CannotOpen, String(error))
  assert.equal(error.code, code)
  assert.doesNotMatch(error.message, /sk-secret/)
  return true
}

describe('sealed credentials', () => {
  test('open as what they were, whatever they hold, and never look the same twice', () => {
    const sealer = sealerOf([now])
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.jsonValue(), fc.nat(), (key, more, id) => {
        const sealed = sealer.seal(id, { key, more })
        assert.deepEqual(sealer.open(id, sealed), JSON.parse(JSON.stringify({ key, more })))
        assert.notDeepEqual(sealer.seal(id, { key, more }), sealed)
      }),
    )
  })

  test('hold nothing that can be read', () => {
    const sealed = sealerOf([now]).seal(1, credentials)
    assert.ok(!sealed.includes('sk-') && !sealed.includes('key'))
  })

  test('do not open with another secret, and the error says what to do', () => {
    const sealed = sealerOf([old]).seal(1, credentials)
    assert.throws(() => sealerOf([now]).open(1, sealed), cannot('NO_SUCH_KEY'))
    assert.throws(() => sealerOf([now]).open(1, sealed), /not in secrets: add it behind the new one/)
  })

  test('do not open for another account', () => {
    const sealer = sealerOf([now])
    assert.throws(() => sealer.open(2, sealer.seal(1, credentials)), cannot('CHANGED'))
  })

  test('do not open where a single bit was changed, a byte is missing, or one is too many', () => {
    const sealer = sealerOf([now])
    const sealed = sealer.seal(1, credentials)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      assert.throws(() => sealer.open(1, changed), CannotOpen, `bit ${bit}`)
    }
    for (let length = 0; length < sealed.length; length++)
      assert.throws(() => sealer.open(1, sealed.subarray(0, length)), CannotOpen)
    assert.throws(() => sealer.open(1, Buffer.concat([sealed, Buffer.of(0)])), cannot('CHANGED'))
    assert.throws(() => sealer.open(1, Buffer.from('{"key":"plain"}'.padEnd(60))), cannot('UNREADABLE'))
  })

  test('are sealed with the first secret, open with any, and say when it is time to seal them again', () => {
    const before = sealerOf([old]).seal(1, credentials)
    const rotating = sealerOf([now, old])
    assert.deepEqual(rotating.open(1, before), credentials)
    assert.equal(rotating.isOld(before), true)
    const anew = rotating.seal(1, rotating.open(1, before))
    assert.equal(rotating.isOld(anew), false)
    assert.deepEqual(sealerOf([now]).open(1, anew), credentials)
  })

  test('need a secret that nobody guesses', () => {
    assert.throws(() => sealerOf([]), /secrets is empty/)
    assert.throws(() => sealerOf([now, 'x'.repeat(31)]), /fewer than 32 characters\. openssl rand -hex 32/)
  })
})
