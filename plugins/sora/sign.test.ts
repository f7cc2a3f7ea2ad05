import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { signerOf, type Grant } from './sign.ts'

const key = 'a-key-of-more-than-thirty-two-characters'
const other = 'b-key-of-more-than-thirty-two-characters'
const grant: Grant = { video: 'video_1', variant: 'video', expires: '1760000000' }

describe('a signature', () => {
  test('is the HMAC-SHA-256 that the README tells, for whoever signs elsewhere', () => {
    const text = 'postern media 1\nsora\nvideo_1\nvideo\n1760000000'
    assert.equal(signerOf([key], 'sora').sign(grant), createHmac('sha256', key).update(text).digest('base64url'))
  })

  test('holds for what was signed', () => {
    const signer = signerOf([key], 'sora')
    assert.equal(signer.isSigned(grant, signer.sign(grant)), true)
  })

  test('holds for nothing else', () => {
    const signer = signerOf([key], 'sora')
    const signature = signer.sign(grant)
    const digits = fc.stringMatching(/^\d{1,12}$/)
    const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/)
    const variant = fc.constantFrom('video', 'thumbnail', 'spritesheet')
    fc.assert(
      fc.property(fc.record({ video: id, variant, expires: digits }), (another) => {
        const isSame = JSON.stringify(another) === JSON.stringify(grant)
        assert.equal(signer.isSigned(another, signature), isSame)
      }),
    )
  })

  test('with any one character changed, added or taken is none', () => {
    const signer = signerOf([key], 'sora')
    const signature = signer.sign(grant)
    for (let at = 0; at < signature.length; at++) {
      for (const instead of ['A', 'B', '_', '', '=', 'AA']) {
        const changed = signature.slice(0, at) + instead + signature.slice(at + 1)
        if (changed !== signature) assert.equal(signer.isSigned(grant, changed), false, changed)
      }
    }
    for (const nonsense of ['', ' ', `${signature}=`, `${signature}A`, 'ä'.repeat(43), '\0']) {
      assert.equal(signer.isSigned(grant, nonsense), false, nonsense)
    }
  })

  test('is made by the first key, and holds for each of them', () => {
    const rotated = signerOf([other, key], 'sora')
    assert.equal(rotated.sign(grant), signerOf([other], 'sora').sign(grant))
    assert.equal(rotated.isSigned(grant, signerOf([key], 'sora').sign(grant)), true)
    assert.equal(signerOf([other], 'sora').isSigned(grant, signerOf([key], 'sora').sign(grant)), false)
  })

  test('of one mount is none at another', () => {
    assert.equal(signerOf([key], 'films').isSigned(grant, signerOf([key], 'sora').sign(grant)), false)
  })

  test('is not made with a key that could be guessed', () => {
    assert.throws(() => signerOf([key, 'short'], 'sora'), /media_keys: a key has fewer than 32 characters/)
    assert.throws(() => signerOf([], 'sora'), /no key/)
  })
})
