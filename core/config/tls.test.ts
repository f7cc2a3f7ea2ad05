import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { issuer } from '../../test/certificates.ts'
import { parse } from './load.fixture.ts'
import { render } from './problems.ts'

const [ours, theirs] = await (async () => {
  await using issuers = await issuer()
  return [await issuers.issue({ names: ['DNS:a.test'] }), await issuers.issue({ names: ['DNS:b.test'] })] as const
})()
const env = {
  CERT: ours.cert,
  KEY: ours.key,
  OTHER: theirs.key,
  JUNK: 'junk',
  HALF: ours.cert.replace(/\n\w{40}/, '\n'),
}

/** Everything that is told of a text, and whether a configuration came of it. */
async function told(text: string): Promise<string> {
  const { config, problems } = await parse(text, env)
  assert.equal(config === null, problems.length > 0)
  return problems.map(render).join('\n\n')
}

const upstream = (more: string) =>
  `plugins: [openai]\nupstreams:\n  - { name: a, provider: openai, url: "https://a.test", ${more} }\n`

describe('the certificate of a listener', () => {
  for (const [what, tls, expected] of [
    ['and its key', '{ cert: "${CERT}", key: "${KEY}" }', ''],
    ['and issuers of clients', '{ cert: "${CERT}", key: "${KEY}", client_ca: "${CERT}", min_version: TLSv1.3 }', ''],
    ['without a key', '{ cert: "${CERT}" }', 'needs "key"'],
    ['that is none', '{ cert: "${JUNK}", key: "${KEY}" }', 'must be a certificate in PEM'],
    ['that is damaged', '{ cert: "${HALF}", key: "${KEY}" }', '${HALF} is a damaged certificate'],
    ['and a key that is none', '{ cert: "${CERT}", key: "${JUNK}" }', '${JUNK} is no private key in PEM'],
    ['and the key of another', '{ cert: "${CERT}", key: "${OTHER}" }', '${OTHER} is not the key of ${CERT}'],
    ['and damaged issuers', '{ cert: "${CERT}", key: "${KEY}", client_ca: "${HALF}" }', '${HALF} is a damaged'],
    ['by an old version', '{ cert: "${CERT}", key: "${KEY}", min_version: TLSv1.1 }', 'min_version'],
    ['and a misspelt key', '{ cert: "${CERT}", key: "${KEY}", clientca: x }', 'Did you mean "client_ca"?'],
  ] as const) {
    test(`${what}: ${expected || 'is well'}`, async () => {
      for (const text of [`tls: ${tls}\n`, `admin: { tls: ${tls} }\n`]) {
        const found = await told(text)
        assert.ok(expected === '' ? found === '' : found.includes(expected), found)
        assert.ok(!found.includes('PRIVATE KEY-----\nMI'), 'no key is repeated')
      }
    })
  }
})

describe('the TLS of an upstream', () => {
  for (const [what, tls, expected] of [
    ['with issuers, a certificate and its key', '{ ca: "${CERT}", cert: "${CERT}", key: "${KEY}" }', ''],
    ['with another name', '{ server_name: inner.a.test }', ''],
    ['with nothing', '{}', ''],
    ['with a certificate alone', '{ cert: "${CERT}" }', 'cert and key belong together'],
    ['with a key alone', '{ key: "${KEY}" }', 'cert and key belong together'],
    ['with the key of another', '{ cert: "${CERT}", key: "${OTHER}" }', '${OTHER} is not the key of ${CERT}'],
    ['with issuers that are none', '{ ca: "${JUNK}" }', 'must be a certificate in PEM'],
    ['with an address for a name', '{ server_name: 10.0.0.1 }', 'must be a name such as'],
    ['with a url for a name', '{ server_name: "https://a.test" }', 'must be a name such as'],
    ['that is not verified', '{ verify: false }', 'does not know "verify"'],
    ['that takes whoever comes', '{ reject_unauthorized: false }', 'does not know "reject_unauthorized"'],
  ] as const) {
    test(`${what}: ${expected || 'is well'}`, async () => {
      const found = await told(upstream(`tls: ${tls}`))
      assert.ok(expected === '' ? found === '' : found.includes(expected), found)
    })
  }

  test('is none where its url has none', async () => {
    const found = await told(upstream('tls: {}').replace('https', 'http'))
    assert.match(found, /^gateway\.yaml:3:\d+ an upstream in the clear has no tls/)
  })

  test('is what the gateway is given, frozen, its key hidden', async () => {
    const { config } = await parse(upstream('tls: { cert: "${CERT}", key: "${KEY}", server_name: b }'), env)
    const { tls } = config!.upstreams[0]!
    assert.deepEqual(
      { ...tls, key: String(tls!.key) },
      {
        ca: null,
        cert: ours.cert,
        key: '***',
        serverName: 'b',
        minVersion: 'TLSv1.2',
      },
    )
    assert.ok(Object.isFrozen(tls))
    assert.equal(tls!.key!.reveal(), ours.key)
  })
})
