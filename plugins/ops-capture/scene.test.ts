/** A gateway with ops-capture in front of a scripted upstream: what the tests beside this file begin with. It holds no test. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CapturedError } from 'postern/plugin'
import { fakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../../test/harness.ts'

/** A record as a line has it. */
export type Line = Omit<CapturedError, 'request_body'> & { readonly request_body: unknown }

export interface Scene extends AsyncDisposable {
  readonly gw: TestGateway
  readonly file: string
  /** A plugin list with ops-capture at its end, for a reload. */
  readonly options: GatewayOptions
  /** Stops the gateway and reads what it has written. */
  lines(): Promise<Line[]>
  ask(body?: string | object, headers?: Record<string, string>, path?: string): Promise<Response>
}

/** A gateway that captures into a file of its own, before an upstream with this script. */
export async function scene(script: Script, options: object = {}, more: Partial<GatewayOptions> = {}): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-capture-'))
  const file = join(folder, 'deep', 'errors.jsonl')
  const upstream = await fakeUpstream(script)
  const { plugins = ['openai'], ...rest } = more
  const all = {
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'key-of-ours-0123456789' }],
    ...rest,
    plugins: [...plugins, { 'ops-capture': { file, ...options } }],
  }
  const gw = await gateway(all)
  return {
    gw,
    file,
    options: all,
    async lines() {
      await gw.stop()
      return readLines(file)
    },
    ask: (body = { model: 'm' }, headers = {}, path = '/v1/chat/completions') =>
      fetch(gw.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

export async function readLines(file: string): Promise<Line[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line) // what the plugin writes
}
