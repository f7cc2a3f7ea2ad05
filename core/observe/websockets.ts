/** WebSockets as metrics: connections keep plain numbers, which are read when somebody looks. */
import type { WsCounters, WsStats } from '../upstream/ws-stats.ts'
import type { SocketBook, SocketKind } from '../websocket-book.ts'
import type { Counter, Gauge, Labelled, Metrics } from './metrics.ts'

/** The WebSockets of clients. */
export function tellSockets(book: SocketBook, metrics: Metrics): void {
  const open = metrics.gauge('postern_websockets_open', 'WebSockets of clients that are open.', ['kind'], {
    across: 'sum',
  })
  const accepted = metrics.counter('postern_websockets_total', 'WebSockets of clients that were accepted.', ['kind'])
  const messages = metrics.counter(
    'postern_websocket_messages_total',
    'Messages from clients and to them; those of tunnels are not looked at.',
    ['kind', 'direction'],
  )
  const turns = metrics.counter('postern_websocket_turns_total', 'Turns that have begun.')
  const rise = risingFrom()
  metrics.onRender(() => {
    const read = book.read()
    for (const kind of kinds) {
      const now = read[kind]
      open.with({ kind }).set(now.open)
      rise(accepted.with({ kind }), now.accepted)
      if (kind === 'tunnel') continue
      rise(messages.with({ kind, direction: 'in' }), now.heard)
      rise(messages.with({ kind, direction: 'out' }), now.said)
    }
    rise(turns, book.turns)
  })
}

const kinds: readonly SocketKind[] = ['turns', 'session', 'tunnel']

/** What the metrics want to know of `WsPool`. */
export interface ToldPool {
  statsByUpstream(): ReadonlyMap<string, WsStats>
}

/**
 * The connections to upstreams. Two pools may be there at once, the older one until its last turn has ended: every number is told as
 * what it has changed by. Returns the end of the telling, for a pool that is closed.
 */
export function tellPool(pool: ToldPool, metrics: Metrics): () => void {
  const connections = metrics.gauge(
    'postern_websocket_upstream_connections',
    'WebSocket connections to upstreams: leased to a turn, idle, pinned (idle, and one session’s alone), opening.',
    ['upstream', 'state'],
    { across: 'sum' },
  )
  const waiting = metrics.gauge(
    'postern_websocket_upstream_waiting',
    'Turns that wait for a connection.',
    ['upstream'],
    {
      across: 'sum',
    },
  )
  const counters = declared(metrics)
  const rise = risingFrom()
  const move = movingFrom()
  const tell = () => {
    for (const [upstream, now] of pool.statsByUpstream()) {
      for (const state of states) move(connections.with({ upstream, state: state.name }), now[state.of])
      move(waiting.with({ upstream }), now.waiting)
      for (const { counter, labels, of } of counters) rise(counter.with({ upstream, ...labels }), of(now))
    }
  }
  const stop = metrics.onRender(tell)
  return () => {
    tell()
    stop()
  }
}

const states = [
  { name: 'leased', of: 'leased' },
  { name: 'idle', of: 'idle' },
  { name: 'pinned', of: 'pinned' },
  { name: 'opening', of: 'dialing' },
] as const

interface Told {
  readonly counter: Labelled<Counter, string>
  readonly labels: Readonly<Record<string, string>>
  readonly of: (now: WsCounters) => number
}

function declared(metrics: Metrics): readonly Told[] {
  const acquires = metrics.counter(
    'postern_websocket_acquires_total',
    'Connections asked for by turns, by what came of it.',
    ['upstream', 'outcome'],
  )
  const waits = metrics.counter(
    'postern_websocket_waits_total',
    'Turns that found every connection in use, and got one in the end.',
    ['upstream'],
  )
  const waited = metrics.counter('postern_websocket_wait_seconds_total', 'How long those waited, together.', [
    'upstream',
  ])
  const opened = metrics.counter(
    'postern_websocket_upstream_opened_total',
    'Handshakes with upstreams: for a turn, in advance, or in vain.',
    ['upstream', 'why'],
  )
  const closed = metrics.counter(
    'postern_websocket_upstream_closed_total',
    'Connections to upstreams that have ended: in a turn, evicted by the gateway, or lost while they were idle.',
    ['upstream', 'why'],
  )
  const pings = metrics.counter('postern_websocket_pings_total', 'Idle connections asked whether they are alive.', [
    'upstream',
  ])
  const dead = metrics.counter('postern_websocket_dead_total', 'Connections that did not answer, and were cut off.', [
    'upstream',
  ])
  const by = (counter: Labelled<Counter, never>, labels: Told['labels'], of: Told['of']): Told => ({
    counter,
    labels,
    of,
  })
  return [
    by(acquires, { outcome: 'reused' }, (now) => now.reused),
    by(acquires, { outcome: 'new' }, (now) => now.acquired - now.reused),
    by(acquires, { outcome: 'refused' }, (now) => now.queueFull),
    by(acquires, { outcome: 'timeout' }, (now) => now.timeouts),
    by(acquires, { outcome: 'cancelled' }, (now) => now.cancelled),
    by(acquires, { outcome: 'unavailable' }, (now) => now.unavailable),
    by(acquires, { outcome: 'failed' }, (now) => now.failed),
    by(waits, {}, (now) => now.waits),
    by(waited, {}, (now) => now.waitMs / 1000),
    by(opened, { why: 'asked' }, (now) => now.created - now.scaleUps),
    by(opened, { why: 'in_advance' }, (now) => now.scaleUps),
    by(opened, { why: 'failed' }, (now) => now.dialFailures),
    by(closed, { why: 'turn' }, (now) => now.broken),
    by(closed, { why: 'evicted' }, (now) => now.evicted),
    by(closed, { why: 'lost' }, (now) => now.closed - now.broken - now.evicted),
    by(pings, {}, (now) => now.pings),
    by(dead, {}, (now) => now.pingTimeouts),
  ]
}

/** Counters that follow a number of somebody else's. */
function risingFrom(): (counter: Counter, value: number) => void {
  const before = new Map<Counter, number>()
  return (counter, value) => {
    counter.inc(Math.max(0, value - (before.get(counter) ?? 0)))
    before.set(counter, value)
  }
}

function movingFrom(): (gauge: Gauge, value: number) => void {
  const before = new Map<Gauge, number>()
  return (gauge, value) => {
    gauge.inc(value - (before.get(gauge) ?? 0))
    before.set(gauge, value)
  }
}
