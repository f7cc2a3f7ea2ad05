/** Plugins that say what they did: each hook is asked as ever, and what it changed is written down. */
import type { PluginSource } from '../config/load.ts'
import { redactHeaders, redactText } from '../observe/redact.ts'
import { phases, type Exchange, type Hooks, type Outgoing, type Phase, type Plugin, type Upstream } from '../plugin.ts'

/** What one hook did. */
export interface Step {
  readonly plugin: string
  readonly phase: Phase
  /** Sentences; none where it changed nothing. */
  readonly did: readonly string[]
}

/** The same plugins; what they do is added to the trail. */
export function traced(source: PluginSource, trail: Step[]): PluginSource {
  return {
    names: source.names,
    load: async (name, folder) => traceOf(await source.load(name, folder), trail),
  }
}

function traceOf(plugin: Plugin, trail: Step[]): Plugin {
  return {
    ...plugin,
    async setup(context) {
      // Whoever can say why is asked to.
      const hooks = await plugin.setup({ ...context, wants: () => true })
      const made: Record<string, unknown> = {}
      for (const [name, hook] of Object.entries(hooks)) {
        const phase = phases.find((known) => known === name)
        // What is no hook is for setup.ts to refuse.
        made[name] = phase && typeof hook === 'function' ? follow(plugin.name, phase, hook.bind(hooks), trail) : hook
      }
      return made satisfies Hooks // each under the name it had
    },
  }
}

function follow(plugin: string, phase: Phase, hook: (exchange: Exchange, subject: unknown) => unknown, trail: Step[]) {
  return (exchange: Exchange, subject: unknown): unknown => {
    const before = look(exchange, phase, subject)
    const passedOver = exchange.passedOver.length
    const note = (answer: unknown) => {
      const after = look(exchange, phase, subject)
      const changes = Object.keys({ ...before, ...after }).flatMap((key) => change(key, before[key], after[key]))
      const passed = exchange.passedOver
        .slice(passedOver)
        .map(({ upstream, reason }) => `passes ${upstream.name} over: ${reason}`)
      trail.push({ plugin, phase, did: [...changes, ...passed, ...told(phase, subject, answer)] })
      return answer
    }
    const answer = hook(exchange, subject)
    return answer instanceof Promise ? answer.then(note) : note(answer)
  }
}

/** Everything that a hook of this phase may change, each as a text. */
function look(exchange: Exchange, phase: Phase, subject: unknown): Readonly<Record<string, string>> {
  const facts = Object.entries(exchange.facts).map(([fact, value]) => [`fact ${fact}`, shown(fact, value)])
  const body =
    phase === 'onBody' && exchange.body.kind === 'json' ? [['body', exchange.body.bytes.toString('utf8')]] : []
  return Object.fromEntries([...facts, ...body, ...(phase === 'onUpstreamRequest' ? lookAt(subject as Outgoing) : [])]) // the phase's subject
}

function lookAt({ method, path, query, headers, body }: Outgoing): [string, string][] {
  const named = Object.entries(redactHeaders(headers)).map(([name, value]): [string, string] => [
    `header ${name}`,
    String(value ?? ''),
  ])
  const bytes: [string, string][] = body.kind === 'json' ? [['body', body.bytes.toString('utf8')]] : []
  return [['method', method], ['path', path + query], ...named, ...bytes]
}

/** A plugin's own notes may be anything, the exchange with its sockets among it: told is what can be read. */
function shown(fact: string, value: unknown): string {
  if (value === null || value === undefined) return ''
  if (fact === 'provider') return (value as { name: string }).name // core's own fact
  if (!isReadable(value)) return notes
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return redactText(text.length > 400 ? `${text.slice(0, 400)}…` : text)
}

const notes = 'notes of its own'

function isReadable(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function' && typeof value !== 'bigint'
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
  return isPlain && depth < 4 && Object.values(value).every((inner) => isReadable(inner, depth + 1))
}

function change(key: string, before = '', after = ''): string[] {
  if (before === after) return []
  if (key === 'body') return ['edits the body']
  if (after === '') return [`removes ${key}`]
  if (after === notes) return [`keeps ${key}`]
  return [`${before === '' ? 'sets' : 'changes'} ${key} to ${after}`]
}

function told(phase: Phase, subject: unknown, answer: unknown): string[] {
  if (phase === 'rankUpstreams') {
    const [were, are] = [subject, answer ?? subject].map((list) =>
      (list as readonly Upstream[]).map(({ name }) => name),
    ) // the phase's subject and answer
    return were?.join() === are?.join() ? [] : [`ranks ${are?.join(', ') || 'nobody'}`]
  }
  if (typeof answer !== 'object' || answer === null || !('kind' in answer)) return []
  if (answer.kind === 'retry') return ['would not have this upstream asked']
  const { status, code, message } = answer as unknown as { status: number; code?: string; message?: string } // a reply or a refusal
  return [`answers ${status}${code === undefined ? '' : ` ${code}: ${message}`}`]
}
