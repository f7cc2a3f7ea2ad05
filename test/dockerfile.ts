/** A Dockerfile as what it says: its arguments, its stages, their instructions. As much of the language as ours uses. */

export interface Instruction {
  /** In capitals: `COPY`. */
  readonly name: string
  /** What follows it, lines joined. */
  readonly text: string
}

export interface Stage {
  /** What FROM names, arguments replaced by their defaults: `alpine:3.21`. */
  readonly base: string
  /** `build` of `AS build`; null for a stage without a name. */
  readonly name: string | null
  readonly instructions: readonly Instruction[]
}

/** Its stages, in order; the last one is the image. Throws where a line is no instruction, or comes before the first FROM. */
export function parseDockerfile(text: string): readonly Stage[] {
  const defaults = new Map<string, string>()
  const stages: { base: string; name: string | null; instructions: Instruction[] }[] = []
  const joined = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ')
  for (const line of joined.split('\n').filter((each) => each.trim() !== '')) {
    const [, name, rest = ''] = /^\s*([A-Z]+)\s+(.+)$/.exec(line) ?? []
    if (name === undefined) throw new Error(`no instruction: ${line}`)
    const stage = stages.at(-1)
    if (name === 'FROM') {
      const [, base = '', as] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(rest) ?? []
      const known = base.replaceAll(/\$\{(\w+)\}/g, (_, argument: string) => defaults.get(argument) ?? '')
      stages.push({ base: known, name: as ?? null, instructions: [] })
    } else if (stage) stage.instructions.push({ name, text: rest.trim() })
    else if (name === 'ARG') defaults.set(rest.split('=')[0] ?? '', rest.split('=')[1] ?? '')
    else throw new Error(`before the first FROM: ${line}`)
  }
  return stages
}

/** The texts of all instructions of that name. */
export function textsOf({ instructions }: Stage, name: string): readonly string[] {
  return instructions.filter((each) => each.name === name).map(({ text }) => text)
}

/** The text of the one that there is. Throws where there is none, or more. */
export function textOf(stage: Stage, name: string): string {
  const [text, ...others] = textsOf(stage, name)
  if (text === undefined || others.length > 0)
    throw new Error(`one ${name}, not ${text === undefined ? 0 : others.length + 1}`)
  return text
}

export interface Copied {
  /** The stage it is copied out of; null: the build context. */
  readonly from: string | null
  readonly sources: readonly string[]
  readonly to: string
}

/** What a stage copies. */
export function copiesOf(stage: Stage): readonly Copied[] {
  return textsOf(stage, 'COPY').map((text) => {
    const from = /--from=(\S+)/.exec(text)?.[1] ?? null
    const words = text.split(/\s+/).filter((word) => !word.startsWith('--'))
    return { from, sources: words.slice(0, -1), to: words.at(-1) ?? '' }
  })
}

/** `ENTRYPOINT ["a", "b"]` as words. Throws where it is written for a shell. */
export function wordsOf(stage: Stage, name: string): readonly string[] {
  return JSON.parse(textOf(stage, name)) as string[] // a list of texts, or the shell would run it
}

/** `ENV A=b C=d` as an object. */
export function envOf(stage: Stage): Readonly<Record<string, string>> {
  const pairs = textsOf(stage, 'ENV').flatMap((text) => text.split(/\s+/))
  return Object.fromEntries(pairs.map((pair) => [pair.split('=')[0] ?? '', pair.slice(pair.indexOf('=') + 1)]))
}

/** What HEALTHCHECK runs, in a shell, and what it asks. Throws where it asks nothing. */
export function healthcheckOf(stage: Stage): { readonly command: string; readonly url: URL } {
  const [, command = ''] = /(?:^|\s)CMD\s+(.+)$/.exec(textOf(stage, 'HEALTHCHECK')) ?? []
  return { command, url: new URL(/http:\/\/\S+/.exec(command)?.[0] ?? '') }
}

/** Whether .dockerignore keeps a path of the context out. As in Docker, the last line that matches it, or a folder it is in, decides. */
export function ignoring(text: string): (path: string) => boolean {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const rules = lines.map((line) => ({ keeps: line.startsWith('!'), pattern: expressionOf(line.replace(/^!/, '')) }))
  return (path) => {
    const parents = path.split('/').map((_, at, parts) => parts.slice(0, at + 1).join('/'))
    const last = rules.findLast(({ pattern }) => parents.some((each) => pattern.test(each)))
    return last !== undefined && !last.keeps
  }
}

/** Docker's `*` matches names with a dot in front too, which path.matchesGlob's does not. */
function expressionOf(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
  const parts = escaped.split('**/').map((part) => part.replaceAll('*', '[^/]*'))
  return new RegExp(`^${parts.join('(?:.*/)?')}$`)
}
