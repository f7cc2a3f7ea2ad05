/** What /metrics tells of WebSockets: of clients, of turns, and of the connections that are kept to upstreams. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseExposition } from '../../core/observe/metrics.fixture.ts'
import { until, wsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import { answered, connect, responsesUpstream, twoUpstreams, upstreamOf } from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'm', input: 'x' }

/** The samples whose names begin so, as `name{labels}`; those that are 0 are left out. */
function told(gw: TestGateway, prefix = 'postern_websocket'): Record<string, number> {
  const samples = [...parseExposition(gw.sidecar.metrics())].flatMap(([, { samples: all }]) => all)
  const found = samples.filter(({ name, value }) => name.startsWith(prefix) && value !== 0)
  return Object.fromEntries(
    found.map(({ name, labels, value }) => [
      `${name.slice(prefix.length)} ${Object.values(labels).join(' ')}`.trim(),
      value,
    ]),
  )
}

describe('the metrics of WebSockets', () => {
  test('count turns, messages both ways, and whether connections were new or used again', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [upstreamOf('o', upstream)] })
    using client = await connect(`${gw.url}/v1/responses`)
    for (let turn = 0; turn < 3; turn++) {
      client.send(create)
      await client.until('response.completed')
    }
    const { s_total: _none, ...before } = told(gw)
    assert.deepEqual(before, {
      's_open turns': 1,
      's_total turns': 1,
      '_messages_total turns in': 3,
      '_messages_total turns out': 9,
      _turns_total: 3,
      '_upstream_connections o idle': 1,
      '_acquires_total o reused': 2,
      '_acquires_total o new': 1,
      '_upstream_opened_total o asked': 1,
    })
    client.ws.close()
    await client.closed
    await until(() => told(gw)['s_open turns'] === undefined)
    assert.equal(told(gw)['_messages_total turns out'], 9)
  })

  test('count sessions and tunnels apart, and what is open of them', async () => {
    await using upstream = await wsUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [upstreamOf('o', upstream)] })
    using session = await connect(`${gw.url}/v1/realtime?model=m`)
    using tunnel = await connect(`${gw.url}/v1/listen`)
    session.send({ type: 'a' })
    await session.next()
    tunnel.send({ type: 'a' })
    await tunnel.next()
    assert.deepEqual(told(gw), {
      's_open session': 1,
      's_total session': 1,
      's_open tunnel': 1,
      's_total tunnel': 1,
      '_messages_total session in': 1,
      '_messages_total session out': 1,
    })
    for (const client of [session, tunnel]) {
      client.ws.close()
      await client.closed
    }
    await until(() => told(gw)['s_open tunnel'] === undefined && told(gw)['s_open session'] === undefined)
  })

  test('tell for each upstream what was refused, broke, or failed', async () => {
    await using all = await twoUpstreams((_say, _body, socket) => socket.terminate(), answered, ['openai', 'failover'])
    using client = await connect(`${all.gw.url}/v1/responses`)
    client.send(create)
    await client.until('response.completed')
    await all.a[Symbol.asyncDispose]()
    using other = await connect(`${all.gw.url}/v1/responses`)
    other.send(create)
    await other.until('response.completed')
    const found = told(all.gw, 'postern_websocket_')
    assert.equal(found['upstream_closed_total a turn'], 1)
    assert.equal(found['acquires_total b reused'], 1)
    assert.equal(found['upstream_connections b idle'], 1)
    assert.equal(found['upstream_connections a leased'], undefined)
    for (const one of [client, other]) {
      one.ws.close()
      await one.closed
    }
  })

  test('go on rising over a reload that opens another pool, and nothing is counted twice', async () => {
    await using upstream = await responsesUpstream()
    const settings = { plugins: ['openai'], upstreams: [upstreamOf('o', upstream)] }
    await using gw = await gateway(settings)
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.until('response.completed')
    assert.equal(told(gw)['_acquires_total o new'], 1)
    assert.deepEqual(await gw.reload({ ...settings, websocket: { ping_timeout: '3s' } }), [])
    client.send(create)
    await client.until('response.completed')
    assert.equal(told(gw)['_acquires_total o new'], 2)
    // The first pool is there for as long as the socket that used it.
    assert.equal(told(gw)['_upstream_connections o idle'], 2)
    client.ws.close()
    await client.closed
    await until(() => told(gw)['_upstream_connections o idle'] === 1)
    assert.equal(told(gw)['_acquires_total o new'], 2)
  })
})
