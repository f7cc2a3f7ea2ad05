/** `postern try`: what would become of a request. Walks it down to the first upstream, and sends nothing. */
import { readFile } from 'node:fs/promises'
import { loadConfig } from '../config/load.ts'
import { ConfigError, render } from '../config/problems.ts'
import { buildGateway } from '../gateway.ts'
import { quietHouse } from '../house.ts'
import { redactHeaders, redactUrl } from '../observe/redact.ts'
import { pluginSource } from '../plugins.ts'
import { rehearse, type Rehearsed } from '../rehearse.ts'
import type { AskedFor } from '../testing/surface.ts'
import type { Values } from './table.ts'
import { traced, type Step } from './trace.ts'

/** Resolves with the exit code: 0 if it would be sent or answered, 1 if it could not be said, 2 if it was called wrongly. */
export async function tryRequest({ words: [path], ...values }: Values & { words: readonly string[] }): Promise<number> {
  if (path === undefined)
    return fail('postern: say which path, such as /v1/chat/completions. Try: postern try --help', 2)
  try {
    const told = await walk(values.config, await asked(path, values))
    process.stdout.write(values.json ? `${JSON.stringify(told, null, 2)}\n` : inWords(told))
    return 0
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return fail(error instanceof ConfigError ? error.problems.map(render).join('\n\n') : `postern: ${reason}`, 1)
  }
}

/** What is said of it, secrets masked. */
interface Tale {
  readonly request: string
  readonly provider: string | null
  readonly operation: string | null
  readonly model: string | null
  /** Hooks in the order in which they were asked. */
  readonly steps: readonly Step[]
  readonly answer: { readonly status: number; readonly code: string | null; readonly message: string } | null
  readonly candidates: readonly string[]
  readonly ranking: readonly string[]
  readonly passed_over: readonly { readonly upstream: string; readonly reason: string }[]
  readonly sent: {
    readonly to: string
    readonly url: string
    readonly headers: object
    readonly body: string | null
  } | null
}

async function asked(path: string, { method, header = [], data, client }: Values): Promise<AskedFor> {
  const headers = header.map((text) => {
    const colon = text.indexOf(':')
    if (colon < 1) throw new Error(`${JSON.stringify(text)} is no header: write NAME:VALUE`)
    return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]
  })
  const body = data?.startsWith('@') ? await readFile(data.slice(1)) : data
  return { path, method, client, headers: Object.fromEntries(headers), ...(body === undefined ? {} : { body }) }
}

async function walk(file: string, request: AskedFor): Promise<Tale> {
  const trail: Step[] = []
  const { config, problems } = await loadConfig(file, { plugins: traced(pluginSource, trail) })
  if (!config) throw new ConfigError(problems)
  const gateway = await buildGateway(config, quietHouse({ isOnlyRead: true }))
  try {
    return tale(await rehearse(gateway, request), trail)
  } finally {
    await gateway.retire()
  }
}

function tale({ exchange, answer, candidates, ranking, outgoing, url }: Rehearsed, steps: readonly Step[]): Tale {
  const { facts, route, method, path, passedOver } = exchange
  const [first] = ranking
  return {
    request: `${method} ${path}`,
    provider: route.provider?.name ?? null,
    operation: facts.claim?.operation ?? null,
    model: facts.model,
    steps,
    answer:
      answer === null || answer.kind === 'retry'
        ? null
        : {
            status: answer.status,
            code: answer.kind === 'refusal' ? answer.code : null,
            message: answer.kind === 'refusal' ? answer.message : answer.body.toString('utf8'),
          },
    candidates: candidates.map(({ name }) => name),
    ranking: ranking.map(({ name }) => name),
    passed_over: passedOver.map(({ upstream, reason }) => ({ upstream: upstream.name, reason })),
    sent:
      outgoing && first && answer === null
        ? {
            to: first.name,
            url: redactUrl(url ?? ''),
            headers: redactHeaders(outgoing.headers),
            body: outgoing.body.kind === 'json' ? outgoing.body.bytes.toString('utf8') : null,
          }
        : null,
  }
}

function inWords({ request, provider, operation, model, steps, answer, ranking, passed_over, sent }: Tale): string {
  const width = Math.max(0, ...steps.map(({ phase }) => phase.length))
  const claimed = provider === null ? 'nobody claims it: 404' : `claimed by ${provider} as ${operation ?? 'other'}`
  const lines = [
    `${request}: ${claimed}${model === null ? '' : `, model ${model}`}`,
    ...steps.map(
      ({ plugin, phase, did }) => `  ${phase.padEnd(width)}  ${plugin}${did.length > 0 ? `: ${did.join('; ')}` : ''}`,
    ),
    ...passed_over.map(({ upstream, reason }) => `passed over: ${upstream}, ${reason}`),
  ]
  if (answer) lines.push(`answered here: ${answer.status} ${answer.code ?? ''} ${answer.message}`.trimEnd())
  else if (sent) {
    lines.push(`would be asked, best first: ${ranking.join(', ')}`, `${sent.to} would be sent: ${sent.url}`)
    for (const [name, value] of Object.entries(sent.headers))
      if (value !== undefined) lines.push(`  ${name}: ${String(value)}`)
    if (sent.body !== null) lines.push(`  ${sent.body}`)
  } else if (provider !== null) lines.push('no upstream would be asked')
  return `${lines.join('\n')}\n`
}

function fail(reason: string, code: number): number {
  process.stderr.write(`${reason}\n`)
  return code
}
