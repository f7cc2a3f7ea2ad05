/** A gateway with sessions, slots and failover before a few upstreams whose every move is known. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { definePlugin, type Store } from 'postern/plugin'
import { fakeUpstream, json, type Asked, type FakeUpstream, type Script } from '../fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../harness.ts'
import { until } from '../redis-server.ts'

/** One upstream of the fleet. */
export interface Member {
  readonly name: string
  readonly upstream: FakeUpstream
  /** Requests that it is at, and the most that it was at together. */
  readonly underway: { now: number; most: number }
  /** Answers that are held back, oldest first; see `hold`. */
  readonly held: ServerResponse[]
}

export interface FleetOptions {
  /** By name, in the order of their priorities. */
  readonly slots: Readonly<Record<string, number>>
  readonly concurrency?: object
  readonly failover?: object
  readonly sticky?: object
  /** Whether all upstreams have the same priority. */
  readonly areEqual?: boolean
}

export class Fleet implements AsyncDisposable {
  readonly gw: TestGateway
  readonly members: Readonly<Record<string, Member>>
  readonly #store: { current: Store | null }

  static async begin(options: FleetOptions): Promise<Fleet> {
    const members: Record<string, Member> = {}
    for (const name of Object.keys(options.slots)) members[name] = await memberOf(name)
    const store: { current: Store | null } = { current: null }
    return new Fleet(await gateway(yaml(options, members, store)), members, store)
  }

  constructor(gw: TestGateway, members: Readonly<Record<string, Member>>, store: { current: Store | null }) {
    this.gw = gw
    this.members = members
    this.#store = store
  }

  member(name: string): Member {
    const member = this.members[name]
    assert.ok(member, `there is no ${name}`)
    return member
  }

  script(name: string, script: Script): void {
    this.member(name).upstream.script = tracked(this.member(name), script)
  }

  /** From now on it answers nobody until `finish`. */
  hold(name: string): void {
    const { held } = this.member(name)
    this.script(name, (_asked, response) => void held.push(response))
  }

  /** Answers the oldest that it holds, well. */
  finish(name: string): void {
    const response = this.member(name).held.shift()
    assert.ok(response, `${name} holds nothing`)
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ at: name }))
  }

  /** Sends a turn of a session. */
  ask(session: string, { body = {}, signal }: { body?: object; signal?: AbortSignal } = {}): Promise<Response> {
    return fetch(`${this.gw.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', session_id: session },
      body: JSON.stringify({ model: 'm', input: 'x', ...body }),
      signal: signal ?? null,
    })
  }

  /** As `ask`: who has answered, or status and text. */
  async turn(session: string, body: object = {}): Promise<string> {
    const answer = await this.ask(session, { body })
    const text = await answer.text()
    return /"at":"(\w+)"/.exec(text)?.[1] ?? `${answer.status} ${text}`
  }

  /** How many slots are taken of each upstream, as the store has it. */
  async taken(): Promise<Record<string, number>> {
    assert.ok(this.#store.current)
    const names = Object.keys(this.members)
    const counts = await this.#store.current.count(names.map((name) => `slots:upstream:${name}`))
    return Object.fromEntries(names.map((name, at) => [name, counts[at] ?? -1]))
  }

  /** Every slot has been given back, of upstreams and of the client. */
  async isFree(): Promise<void> {
    await until(async () => {
      const client = (await this.#store.current?.count(['slots:client:127.0.0.1'])) ?? [-1]
      return [...Object.values(await this.taken()), ...client].every((count) => count === 0)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gw[Symbol.asyncDispose]()
    for (const { upstream } of Object.values(this.members)) await upstream[Symbol.asyncDispose]()
  }
}

async function memberOf(name: string): Promise<Member> {
  const upstream = await fakeUpstream(json(200, { at: name }))
  const member: Member = { name, upstream, underway: { now: 0, most: 0 }, held: [] }
  upstream.script = tracked(member, json(200, { at: name }))
  return member
}

/** Counts how many requests it is at. */
function tracked({ underway }: Member, script: Script): Script {
  return (asked: Asked, response, request) => {
    underway.most = Math.max(underway.most, ++underway.now)
    response.on('close', () => underway.now--)
    return script(asked, response, request)
  }
}

function yaml(
  { slots, concurrency = {}, failover = {}, sticky = {}, areEqual = false }: FleetOptions,
  members: Readonly<Record<string, Member>>,
  store: { current: Store | null },
): GatewayOptions {
  const keeper = definePlugin({
    name: 'keeper',
    config: {
      type: 'object',
      description: 'Keeps the store for the test.',
      additionalProperties: false,
      properties: {},
    },
    setup(context) {
      store.current = context.store
      return {}
    },
  })
  return {
    plugins: [
      'openai',
      keeper,
      { 'sticky-session': sticky },
      { concurrency },
      { failover: { same_upstream_delay: '5ms', budget: { enabled: false }, ...failover } },
    ],
    upstreams: Object.entries(slots).map(([name, count], at) => ({
      name,
      provider: 'openai',
      url: members[name]?.upstream.url,
      key: `key-${name}`,
      slots: count,
      priority: areEqual ? 1 : at,
    })),
  }
}
