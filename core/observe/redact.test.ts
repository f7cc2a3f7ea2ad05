import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { makeRedactor, redactHeaders, redactJson, redactLine, redactText, redactUrl } from './redact.ts'

const pem = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----'
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N'

describe('redactText hides', () => {
  const table: readonly [what: string, text: string, clean: string][] = [
    ['an OpenAI key', 'Incorrect API key provided: sk-proj-Ab12_cd-34Ef', 'Incorrect API key provided: sk-proj-***'],
    ['an old OpenAI key', 'key sk-0123456789abcdef.', 'key sk-***.'],
    ['an Anthropic key', '(sk-ant-api03-AbCdEf0123)', '(sk-ant-***)'],
    ['a Google key', `x AIza${'a1_-'.repeat(9)} y`, 'x AIza*** y'],
    ['a Google client secret', `GOCSPX-${'a1_-'.repeat(6)}`, 'GOCSPX-***'],
    ['a bearer token', 'said Bearer abc.def/ghi+jk== twice', 'said Bearer *** twice'],
    [
      'a user and a password in base64',
      '["authorization", "Basic dXNlcjpwYXNz"] and',
      '["authorization", "Basic ***"] and',
    ],
    ['a JWT', `got ${jwt}!`, 'got ***!'],
    ['a JWT behind letters', `token${jwt} `, 'token*** '],
    ['a parameter of a URL', 'GET https://h/p?a=1&key=abc&b=2', 'GET https://h/p?a=1&key=***&b=2'],
    [
      'a form',
      'grant_type=authorization_code&code=4%2F0A&client_secret=x',
      'grant_type=authorization_code&code=***&client_secret=***',
    ],
    [
      'a URL within a URL',
      'to=https%3A%2F%2Fh%3Faccess_token%3Dabc%26b%3D1',
      'to=https%3A%2F%2Fh%3Faccess_token%3D***%26b%3D1',
    ],
    ['a user and a password in a URL', 'postgres://u:p@ss@db:5432/x', 'postgres://***@db:5432/x'],
    ['a PEM block', `a ${pem} b`, 'a *** b'],
    ['two PEM blocks', `${pem}${pem}`, '******'],
    ['a PEM block without an end', 'a -----BEGIN RSA PRIVATE KEY-----\nMIIE', 'a ***'],
    ['a line of a header', 'Authorization: Basic dTpw abc\nHost: h', 'Authorization: ***\nHost: h'],
    ['a cookie with all its parts', 'cookie: a=1; b="2"\r\nx', 'cookie: ***\r\nx'],
    ['an environment variable', 'OPENAI_API_KEY=abc node x', 'OPENAI_API_KEY=*** node x'],
    ['a password in a sentence', 'the password : hunter2 was', 'the password : *** was'],
    ['a member in camel case', "{ apiKey: 'a b', n: 1 }", "{ apiKey: '***', n: 1 }"],
    ['a member of broken JSON', '{"x": {"client_secret": "a\\"b", "n": 1', '{"x": {"client_secret": "***", "n": 1'],
    [
      'a member of JSON in a string',
      '"{\\"password\\": \\"a\\\\\\"b\\", \\"n\\": 1',
      '"{\\"password\\": \\"***\\", \\"n\\": 1',
    ],
    ['a value without an end', 'password="abc', 'password="***'],
    ['what stands in whole JSON', '{"password":"x","n":1}', '{"password":"[REDACTED]","n":1}'],
  ]
  for (const [what, text, clean] of table) test(what, () => assert.equal(redactText(text), clean))
})

test('redactText leaves plain words alone', () => {
  for (const text of [
    '',
    'maximum context length is 8192 tokens: you asked for 9000',
    'error code: 429, retry-after=5',
    'task-force: a risk-assessment of keyboards; monkey=banana',
    'see https://platform.openai.com/docs/guides/error-codes/api-errors.',
    'max_tokens: 5, total_tokens=7',
    'The sk- prefix and the AIza prefix',
    'a basic understanding of Basic English; bearer of news',
    'a == b, c := d, e: f',
  ])
    assert.equal(redactText(text), text)
})

test('redactUrl keeps what is no secret as it is spelt', () => {
  const table: readonly [string, string][] = [
    ['/v1beta/models/gemini:generateContent?alt=sse', '/v1beta/models/gemini:generateContent?alt=sse'],
    ['/v1/x?%6Bey=abc&pageSize=3', '/v1/x?%6Bey=***&pageSize=3'],
    ['/v1/x?KEY=abc&Api-Key=d', '/v1/x?KEY=***&Api-Key=***'],
    ['/cb#access_token=abc&state=1', '/cb#access_token=***&state=1'],
    ['https://u:p@h/sk-0123456789?q=a%20b', 'https://***@h/sk-***?q=a%20b'],
    ['/x?q=Bearer%20abcdefgh', '/x?q=***'],
    ['/x?q=%zz&key=', '/x?q=%zz&key='],
    ['?key=a', '?key=***'],
  ]
  for (const [url, clean] of table) assert.equal(redactUrl(url), clean)
})

test('redactHeaders masks by name and by look, in a copy, and keeps what a 429 says of tokens', () => {
  const headers = {
    authorization: 'Basic abc',
    'x-goog-api-key': 'abc',
    'set-cookie': ['a=1', 'b=2'],
    'sec-websocket-protocol': 'realtime, openai-insecure-api-key.sk-0123456789',
    referer: 'https://h/?key=abc',
    'x-ratelimit-remaining-tokens': '12',
    'user-agent': 'curl/8',
    via: undefined,
  }
  assert.deepEqual(redactHeaders(headers), {
    authorization: '***',
    'x-goog-api-key': '***',
    'set-cookie': ['***', '***'],
    'sec-websocket-protocol': 'realtime, openai-insecure-api-key.sk-***',
    referer: 'https://h/?key=***',
    'x-ratelimit-remaining-tokens': '12',
    'user-agent': 'curl/8',
    via: undefined,
  })
  assert.equal(headers.authorization, 'Basic abc')
})

test('redactLine gives the very line back that holds no secret, counts of tokens included', () => {
  const line = JSON.stringify({
    level: 'info',
    exchange: '9b2f0a1c-5a41-4c3b-9a0e-1f2e3d4c5b6a',
    path: '/v1/messages/count_tokens',
    tokens: { input_tokens: 5, tokens: 6 },
    passed_over: [],
    msg: 'exchange',
  })
  assert.equal(redactLine(`${line}\n`), `${line}\n`)
  assert.equal(redactLine('{"msg":"no","DB_PASSWORD":"x"}\n'), '{"msg":"no","DB_PASSWORD":"[REDACTED]"}\n')
  assert.equal(redactLine('no JSON: password=x\n'), 'no JSON: password=***\n')
})

describe('redactJson', () => {
  const clean = (json: string, options = {}) => redactJson(Buffer.from(json), options).toString()

  test('hides the values of secret keys, however these are spelt', () => {
    for (const key of ['api_key', 'API-Key', 'apiKey', ' password ', 'db_passwd', 'sshKey', 'x-custom-key', 'Cookie'])
      assert.equal(clean(`{"${key}":"x"}`), `{"${key}":"[REDACTED]"}`)
    assert.equal(clean('{"p\\u0061ssword":1,"token":{"a":[1]},"jwt":null}').match(/REDACTED/g)?.length, 3)
    assert.equal(clean('{"password":"a","password":"b"}'), '{"password":"[REDACTED]","password":"[REDACTED]"}')
  })

  test('keeps counters, and plain keys that look like others', () => {
    for (const json of [
      '{"max_tokens":5,"usage":{"input_tokens":1,"cache_read_input_tokens":2},"budget_tokens":3}',
      '{"maxOutputTokens":5,"usageMetadata":{"promptTokenCount":1,"totalTokenCount":2}}',
      '{"key":"a","monkey":"b","keyboard":"c","author":"d"}',
    ])
      assert.equal(clean(json), json)
  })

  test('keeps the spelling of what it does not hide, numbers beyond 2^53 included', () => {
    const before = ' {\n "id": 12345678901234567890.00, "e": 1E400 ,"s":"\\u00e9\\/","secret": 1 }\n'
    assert.equal(clean(before), before.replace('"secret": 1', '"secret": "[REDACTED]"'))
    const untouched = Buffer.from('{"a" : [1.0, "x"]}')
    assert.equal(redactJson(untouched), untouched, 'the very Buffer')
  })

  test('looks into texts and into JSON in texts', () => {
    assert.equal(clean('{"content":"my key is sk-0123456789"}'), '{"content":"my key is sk-***"}')
    const inner = JSON.stringify({ deep: JSON.stringify([{ password: 'hunter2' }]) })
    assert.ok(!clean(JSON.stringify({ arguments: inner })).includes('hunter2'))
  })

  test('goes no deeper than it is told', () => {
    assert.equal(clean('{"a":{"b":{"c":1}},"d":2}', { depth: 2 }), '{"a":{"b":"<depth limit exceeded>"},"d":2}')
    const nested = '['.repeat(100_000) + ']'.repeat(100_000)
    assert.equal(clean(nested), `${'['.repeat(32)}"<depth limit exceeded>"${']'.repeat(32)}`)
  })

  test('keeps nothing of what is no JSON', () => {
    for (const json of [
      '',
      '{',
      '{"a":1,}',
      '{"a":tru}',
      '{"a":"\n"}',
      '{"a":"\\x"}',
      '[1 2]',
      '{"token":[}',
      '{} x',
      '01',
    ])
      assert.equal(clean(json), '"<non-json payload redacted>"', json)
  })

  test('agrees with JSON.parse on what JSON is', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom('', '"', '{', ']', ',', '\\', '1', ' '), (json, at, put) => {
        const place = at % (json.length + 1)
        const text = json.slice(0, place) + put + json.slice(place + (at % 2))
        assert.equal(clean(text, { depth: 1000 }) === '"<non-json payload redacted>"', !isJson(text), text)
      }),
      { numRuns: 2000 },
    )
  })

  test('changes no value that is not secret', () => {
    const key = fc.stringMatching(/^[a-f]{1,5}$/)
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.integer(),
        fc.boolean(),
        fc.stringMatching(/^[a-f "\\]*$/),
        tie('list'),
        tie('map'),
      ),
      list: fc.array(tie('any')),
      map: fc.dictionary(key, tie('any')),
    })).map
    fc.assert(fc.property(value, (it) => assert.equal(clean(JSON.stringify(it)), JSON.stringify(it))))
  })
})

describe('makeRedactor', () => {
  test('adds names and patterns of its own, and leaves the standard one as it is', () => {
    const { text, json, url, headers } = makeRedactor({ keys: ['Tenant-Pin'], extra: [/badge-\d+/i, 'ticket\\d+'] })
    assert.equal(text('Badge-12 and ticket7 and badge-3'), '*** and *** and ***')
    assert.equal(json(Buffer.from('{"tenantPin":1}')).toString(), '{"tenantPin":"[REDACTED]"}')
    assert.equal(url('/x?tenant_pin=1'), '/x?tenant_pin=***')
    assert.deepEqual(headers({ 'tenant-pin': '1' }), { 'tenant-pin': '***' })
    assert.equal(redactText('Badge-12 tenant_pin=1'), 'Badge-12 tenant_pin=1')
  })

  test('refuses a pattern that is none', () => {
    assert.throws(() => makeRedactor({ extra: ['('] }), SyntaxError)
  })

  test('judges more names than it remembers', () => {
    const redactor = makeRedactor()
    for (let at = 0; at < 5000; at++) redactor.json(Buffer.from(`{"name${at}":1,"secret${at}":2}`))
    assert.equal(redactor.json(Buffer.from('{"name1":1,"secret1":2}')).toString(), '{"name1":1,"secret1":"[REDACTED]"}')
  })
})

/** Whether JSON.parse reads it. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
