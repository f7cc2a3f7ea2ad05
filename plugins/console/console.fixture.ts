/** What the tests of the console have in common: how it is asked, and who is asked through it. */
import { definePlugin, type Principal } from 'postern/plugin'
import { fakeUpstream, json, type Script } from '../../test/fake-upstream.ts'
import type { TestGateway } from '../../test/harness.ts'

export const fine = json(200, { id: 'x', usage: { prompt_tokens: 12, completion_tokens: 30 } })

/** Whoever says `x-caller` is that caller. */
export const caller = definePlugin({
  name: 'caller',
  config: { type: 'object', description: 'Believes a header.' },
  writes: ['principal'],
  setup: () => ({
    onRequest({ headers, facts }) {
      const name = headers['x-caller']
      if (typeof name === 'string') facts.principal = principalOf(name)
    },
  }),
})

function principalOf(name: string): Principal {
  const nobody: Omit<Principal, 'id' | 'name'> = {
    keyId: null,
    userId: null,
    groupId: null,
    group: null,
    concurrency: null,
    billing: 'none',
    rateMultiplier: '1',
  }
  return { id: name, name, ...nobody }
}

/** Sends a request through the gateway, resolves with its status and the id of the exchange. */
export async function send(gw: TestGateway, headers: Record<string, string> = {}, body: object = {}) {
  const answer = await fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'gpt-5', messages: [], ...body }),
  })
  await answer.text()
  return { status: answer.status, id: answer.headers.get('x-postern-exchange') ?? '' }
}

/** What a page of the admin listener tells. */
export async function told<T>(gw: TestGateway, path: string): Promise<T> {
  const answer = await fetch(gw.adminUrl + path)
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T // as the caller knows the page
}

/** Does something. */
export async function act(gw: TestGateway, path: string, body: unknown) {
  const answer = await fetch(gw.adminUrl + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: answer.status, value: (await answer.json()) as Record<string, unknown> } // always a map
}

/** Upstreams by name, each with its script, and how gateway.yaml lists them: the first is asked first. */
export async function upstreams(scripts: Readonly<Record<string, Script>>) {
  const open = await Promise.all(
    Object.entries(scripts).map(async ([name, script]) => ({ name, upstream: await fakeUpstream(script) })),
  )
  return {
    list: open.map(({ name, upstream }, at) => ({
      name,
      provider: 'openai',
      url: upstream.url,
      key: 'k',
      priority: at,
      slots: 4,
    })),
    of: (name: string) => open.find((one) => one.name === name)!.upstream,
    async [Symbol.asyncDispose]() {
      await Promise.all(open.map(({ upstream }) => upstream[Symbol.asyncDispose]()))
    },
  }
}

export interface Explained {
  readonly exchange: string
  readonly state: 'live' | 'ended'
  readonly status: number
  readonly provider: string | null
  readonly operation: string | null
  readonly model: string | null
  readonly principal: string | null
  readonly session: string | null
  readonly pin: string | null
  readonly answered_by: string | null
  readonly answered_in: { readonly plugin: string; readonly phase: string } | null
  readonly upstream: string | null
  readonly error: { name: string; message: string; plugin: string | null; phase: string | null } | null
  readonly ms: Record<
    | 'total'
    | 'before_choosing'
    | 'on_request'
    | 'body'
    | 'on_body'
    | 'choosing'
    | 'slots'
    | 'upstreams'
    | 'own'
    | 'answer',
    number | null
  >
  readonly attempts: readonly {
    readonly upstream: string | null
    readonly candidates: readonly string[]
    readonly passed_over: readonly Passed[]
    readonly reason: string | null
    readonly score: number | null
    readonly ranked: readonly { upstream: string; score: number; load: number; errors: number }[]
    readonly status: number | null
    readonly error: string | null
    readonly ms: { first_content: number | null }
  }[]
  readonly passed_over: readonly Passed[]
  readonly plugins: readonly { plugin: string; phase: string; attempt: number; what: string; field: string | null }[]
  readonly usage: Record<string, number> | null
}

interface Passed {
  readonly upstream: string
  readonly reason: string
  readonly wait_ms: number | null
  readonly by: string | null
}

/** The trail of an exchange, once it has ended: a client may have its answer a moment before. */
export async function explained(gw: TestGateway, id: string): Promise<Explained> {
  for (const end = Date.now() + 5000; ; await new Promise((resolve) => setImmediate(resolve))) {
    const found = await told<Explained>(gw, `/explain/${encodeURIComponent(id)}`)
    if (found.state === 'ended' || Date.now() > end) return found
  }
}
