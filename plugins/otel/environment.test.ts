import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Secret } from 'postern/plugin'
import { destinationOf } from './environment.ts'

const nothing = { headers: {}, resource: {} }
const addresses = ({ traces, metrics }: ReturnType<typeof destinationOf>) => [traces.href, metrics.href]

describe('where telemetry goes', () => {
  test('is nearby, if nobody says otherwise', () => {
    assert.deepEqual(addresses(destinationOf(nothing, {})), [
      'http://127.0.0.1:4318/v1/traces',
      'http://127.0.0.1:4318/v1/metrics',
    ])
    assert.deepEqual(destinationOf(nothing, {}).resource, { 'service.name': 'postern' })
  })

  test('is what the environment says, in the names that every SDK reads', () => {
    const told = destinationOf(nothing, {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example/otlp/',
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://other:1/whole',
      OTEL_EXPORTER_OTLP_HEADERS: 'X-Key=a%20b,  tenant=7,broken',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod,service.name=less',
      OTEL_SERVICE_NAME: 'gate',
      OTEL_SDK_DISABLED: 'TRUE',
    })
    assert.deepEqual(addresses(told), ['https://collector.example/otlp/v1/traces', 'http://other:1/whole'])
    assert.deepEqual(
      Object.entries(told.headers).map(([name, value]) => [name, value.reveal()]),
      [
        ['x-key', 'a b'],
        ['tenant', '7'],
      ],
    )
    assert.deepEqual(told.resource, { 'service.name': 'gate', 'deployment.environment.name': 'prod' })
    assert.equal(told.isDisabled, true)
  })

  test('is what the options say, before the environment', () => {
    const wanted = {
      endpoint: 'http://mine:4318',
      service_name: 'mine',
      headers: { 'x-key': new Secret('k') },
      resource: { a: '1' },
    }
    const told = destinationOf(wanted, {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://theirs',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://theirs/whole',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'X-Key=theirs',
      OTEL_SERVICE_NAME: 'theirs',
    })
    assert.deepEqual(addresses(told), ['http://mine:4318/v1/traces', 'http://mine:4318/v1/metrics'])
    assert.equal(told.headers['x-key']!.reveal(), 'k')
    assert.deepEqual(told.resource, { 'service.name': 'mine', a: '1' })
  })
})

describe('what cannot be used', () => {
  test('is refused by the name of where it stands, and never shown', () => {
    for (const [env, pattern] of [
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' }, /OTEL_EXPORTER_OTLP_ENDPOINT is no http/],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://u:canary@h' }, /OTEL_EXPORTER_OTLP_ENDPOINT has a user or a password/],
      [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /OTEL_EXPORTER_OTLP_PROTOCOL is grpc/],
      [{ OTEL_EXPORTER_OTLP_HEADERS: 'x-key=canary%0Aevil' }, /the header "x-key" cannot be sent/],
    ] as const)
      assert.throws(
        () => destinationOf(nothing, env),
        (error: Error) => {
          assert.match(error.message, pattern)
          assert.doesNotMatch(error.message, /canary/)
          return true
        },
      )
  })
})
