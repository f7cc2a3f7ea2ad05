/** Requests of each API, short to write, and the gateway's plugins that name their sessions. */
import type { Plugin } from 'postern/plugin'
import type { Probe } from './probe.fixture.ts'

export interface Row {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: object
}

const mounts = ['claude', 'google', 'compatible']

/** A gateway.yaml in which the providers have other names than their own: what counts is what the dialect says. */
export function namingGateway(
  around: Probe,
  upstream: string,
  options: object = {},
): { plugins: (Plugin | Record<string, unknown>)[]; upstreams: Record<string, unknown>[] } {
  return {
    plugins: [
      { anthropic: { as: 'claude', prefix: '/claude' } },
      { gemini: { as: 'google', prefix: '/google' } },
      { openai: { as: 'compatible', prefix: '/compatible' } },
      around.chooser,
      { 'sticky-session': options },
      around.witness,
    ],
    upstreams: mounts.map((provider) => ({ name: provider, provider, url: upstream })),
  }
}

/** What each row's session is called, its tenant cut off; null where it has none. */
export async function askEach(gateway: string, around: Probe, rows: readonly Row[]): Promise<(string | null)[]> {
  for (const { path, headers, body } of rows) {
    const answer = await fetch(gateway + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': 'k', ...headers },
      body: JSON.stringify(body),
    })
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  }
  return around.seen.map(({ session }) => session && session.slice(session.indexOf(':') + 1))
}

export const claude = (body: object): Row => ({ path: '/claude/v1/messages', body })
export const responses = (body: object, headers: Record<string, string> = {}): Row => ({
  path: '/compatible/v1/responses',
  headers,
  body,
})
export const chat = (body: object, headers: Record<string, string> = {}): Row => ({
  path: '/compatible/v1/chat/completions',
  headers,
  body,
})
export const gemini = (body: object, headers: Record<string, string> = {}): Row => ({
  path: '/google/v1beta/models/m:generateContent',
  headers,
  body,
})
export const user = (content: unknown) => ({ role: 'user', content })
export const assistant = (content: unknown) => ({ role: 'assistant', content })
export const part = (text: string) => ({ text })
export const ephemeral = { cache_control: { type: 'ephemeral' } }
