import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { redactHeaders, redactJson, redactLine, redactText, redactUrl } from './redact.ts'

describe('a canary', () => {
  const canary = fc.stringMatching(/^[A-Za-z0-9]{12,40}$/)
  const secretName = fc.constantFrom(
    'api_key',
    'X-Api-Key',
    'accessToken',
    'client-secret',
    'password',
    'Authorization',
  )
  const noise = fc.string({ unit: fc.constantFrom(...Array.from('ab :="\\{}[],&?/@\n\'.-_')), maxLength: 20 })
  const credential = canary.chain((secret) =>
    fc
      .constantFrom(
        `sk-${secret}`,
        `sk-ant-${secret}`,
        `Bearer ${secret}`,
        `eyJhbGciOi.${secret}.${secret}`,
        `https://u:${secret}@host/`,
        `?key=${secret}`,
        `&access_token=${secret}`,
        `-----BEGIN KEY-----${secret}`,
        ` api_key: ${secret}`,
        ` "password":"${secret}"`,
      )
      .map((text) => ({ secret, text })),
  )

  test('does not survive in a text, whatever stands around it', () => {
    fc.assert(
      fc.property(credential, noise, noise, ({ secret, text }, before, after) => {
        const clean = redactText(`${before} ${text} ${after}`)
        assert.ok(!clean.includes(secret), clean)
      }),
      { numRuns: 3000 },
    )
  })

  test('does not survive in JSON: as a value, a key, inside a text, or in JSON inside a text', () => {
    fc.assert(
      fc.property(credential, secretName, fc.json({ maxDepth: 3 }), ({ secret, text }, name, other) => {
        const value = { [name]: { a: [secret, 1] }, plain: text, [text]: 1, list: [[text]], [`x${name}`]: secret }
        const nested = {
          arguments: JSON.stringify({ value, again: JSON.stringify(value) }),
          other: JSON.parse(other) as unknown,
        }
        const clean = redactJson(Buffer.from(JSON.stringify(nested))).toString()
        assert.ok(!clean.includes(secret), clean)
        assert.doesNotThrow(() => void JSON.parse(clean))
      }),
      { numRuns: 1000 },
    )
  })

  test('does not survive in headers and URLs', () => {
    fc.assert(
      fc.property(credential, secretName, ({ secret, text }, name) => {
        const headers = { [name.toLowerCase()]: secret, referer: text, warning: [text] }
        assert.ok(!JSON.stringify(redactHeaders(headers)).includes(secret))
        const url = `https://h/${text}?a=${encodeURIComponent(text)}&${encodeURIComponent(name)}=${secret}#x=${text}`
        assert.ok(!redactUrl(url).includes(secret), redactUrl(url))
      }),
      { numRuns: 2000 },
    )
  })

  test('does not survive in a line of the log, in a message, a field or what an error carries', () => {
    fc.assert(
      fc.property(credential, secretName, fc.boolean(), ({ secret, text }, name, isLoud) => {
        const spelt = isLoud ? name.toUpperCase() : name
        for (const fields of [
          { msg: text },
          { [spelt]: secret },
          { err: { stack: `Error: ${text}\n at x` } },
          { [text]: 1 },
        ]) {
          const clean = redactLine(`${JSON.stringify({ level: 'info', ...fields })}\n`)
          assert.ok(!clean.includes(secret), clean)
          assert.ok(clean.endsWith('}\n'))
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('stays hidden when what is clean is redacted again', () => {
    fc.assert(
      fc.property(credential, noise, ({ text }, before) => {
        const clean = redactText(before + text)
        assert.equal(redactText(clean), clean)
      }),
    )
  })
})

test('a hostile text costs what its length costs', () => {
  // A pass that looked at positions again and again would need hours for these: the test's own deadline would end it.
  const pieces = ['sk-', 'eyJ', 'eyJaaaaaaaa.', '://', '@', ':', '=', 'token=', 'token="', "pass_key='", '\\', '"', ' ']
  const more = [
    '-----BEGIN ',
    '-----END ',
    'bearer ',
    'Bearer',
    'a',
    'Z_',
    '{',
    '[',
    '{"a":',
    '%3D',
    '&',
    'AIza',
    '.',
    '-',
  ]
  const piece = fc
    .array(fc.constantFrom(...pieces, ...more), { minLength: 1, maxLength: 4 })
    .map((some) => some.join(''))
  const long = (part: string) => part.repeat(Math.ceil(500_000 / part.length))
  const hostile = fc.tuple(piece, piece).map(([one, other]) => `${long(one)}${long(other)} `)
  const examples: [string][] = [...pieces, ...more].map((one) => [`${long(one)} `])
  fc.assert(
    fc.property(hostile, (text) => {
      const planted = `${text}\nsk-canary0123456789`
      for (const clean of [
        redactText(planted),
        redactUrl(`/?a=${planted}`),
        redactLine(JSON.stringify({ msg: planted })),
        redactJson(Buffer.from(JSON.stringify([planted]))),
      ])
        assert.ok(!clean.includes('canary0123456789'))
    }),
    { numRuns: 20, examples },
  )
})
