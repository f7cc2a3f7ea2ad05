import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compilePolicy } from './policy.ts'

const told = (text: string, nonce = 'X') => compilePolicy(text)?.withNonce(nonce)

describe('a policy', () => {
  test('has the nonce where its placeholder stands, quoted or not', () => {
    assert.equal(told('script-src __CSP_NONCE__ https:'), "script-src 'nonce-X' https:")
    assert.equal(told("script-src 'nonce-__CSP_NONCE__' https:"), "script-src 'nonce-X' https:")
    assert.equal(
      told('script-src __CSP_NONCE__; style-src __CSP_NONCE__'),
      "script-src 'nonce-X'; style-src 'nonce-X'",
      'everywhere',
    )
  })

  test('is given a place for it in script-src', () => {
    assert.equal(told("img-src *; Script-Src 'self'"), "img-src *; script-src 'self' 'nonce-X'")
    assert.equal(told('style-src __CSP_NONCE__; script-src a'), "style-src 'nonce-X'; script-src a 'nonce-X'")
  })

  test('without script-src is given the one that default-src makes, and the nonce', () => {
    assert.equal(
      told("default-src 'self' https:; img-src *"),
      "default-src 'self' https:; script-src 'self' https: 'nonce-X'; img-src *",
    )
    assert.equal(told("default-src 'none'"), "default-src 'none'; script-src 'nonce-X'")
    assert.equal(told('img-src *'), "script-src 'self' 'nonce-X'; img-src *")
  })

  test('takes none where it has a nonce of its own, or wants no scripts', () => {
    for (const text of ["script-src 'nonce-fixed'", "default-src *; script-src 'none'"]) {
      assert.equal(told(text), text)
      assert.equal(compilePolicy(text)?.takesNonce, false)
    }
  })

  test('admits inline scripts where there is no nonce to be had', () => {
    assert.equal(told("script-src 'self' __CSP_NONCE__", ''), "script-src 'self' 'unsafe-inline'")
  })

  test('becomes one line, however it was written', () => {
    assert.equal(
      told("default-src 'self';\n  script-src   __CSP_NONCE__ ;\n"),
      "default-src 'self'; script-src 'nonce-X'",
    )
  })

  test('that is empty is none', () => {
    for (const text of ['', ' ', ' ; \n']) assert.equal(compilePolicy(text), null)
  })
})
