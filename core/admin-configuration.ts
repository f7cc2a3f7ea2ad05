/** The configuration that runs, and the one that was refused, as operators may see them: without a secret. */
import { readFile } from 'node:fs/promises'
import type { Config } from './config/load.ts'
import { readYaml } from './config/document.ts'
import { render } from './config/problems.ts'
import { Report } from './config/report.ts'
import { coreSchema } from './config/schema.ts'
import { hideAll, hideSecrets } from './config/veil.ts'
import { redactText, redactUrl } from './observe/redact.ts'
import { Secret } from './secret.ts'
import type { RefusedVersion } from './sidecar.ts'

/** What runs, since when, and what was refused last. */
export interface Running {
  readonly config: Config
  /** In ms since 1970. */
  readonly builtAt: number
  readonly lastProblem: RefusedVersion | null
}

/** What `/configuration` tells. `refused.text` is null where the file cannot be read as YAML: its problems say why. */
export async function configuration({ config, builtAt, lastProblem }: Running): Promise<object> {
  return {
    running: {
      file: config.file,
      version: config.version,
      loaded_at: new Date(builtAt).toISOString(),
      notes: config.notes.map(redactText),
      ...maskedConfig(config),
    },
    refused: lastProblem && {
      at: new Date(lastProblem.at).toISOString(),
      problems: lastProblem.problems.map((problem) => ({ ...problem, text: render(problem) })),
      text: await readFile(config.file, 'utf8').then(
        (text) => veiled(text, config),
        () => null,
      ),
    },
  }
}

/** All that a configuration says, defaults included, without a secret. */
export function maskedConfig({ settings, upstreams, keys, plugins }: Config): Masked {
  return {
    settings: masked({ ...settings, store: placeOf(settings.store), database: placeOf(settings.database) }),
    upstreams: upstreams.map((upstream) => masked({ ...upstream })),
    keys: [...keys.values()].map(({ principal }) => principal.name),
    plugins: plugins.map(({ name, config }) => ({ name, options: masked(config) })),
  }
}

export interface Masked {
  readonly settings: unknown
  readonly upstreams: readonly unknown[]
  readonly keys: readonly string[]
  readonly plugins: readonly { readonly name: string; readonly options: unknown }[]
}

/** What kind of store or database it is; the address may hold a password in any of its parts. */
function placeOf(setting: Secret): string {
  const text = setting.reveal()
  const [scheme, rest] = text.split('://', 2)
  return rest === undefined ? text : `${scheme}://***`
}

/** A copy without secrets. Texts that look as if they held one lose it as well, whatever their schema calls them. */
function masked(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal() === '' ? '' : '***'
  if (value instanceof URL) return redactUrl(value.href)
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return value.map(masked)
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? '(made by the plugin)' : value
  // What a format has made of a text (a compiled list of addresses) is not what somebody has written.
  if (Object.getPrototypeOf(value) !== Object.prototype) return '(compiled)'
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(inner)]))
}

/** Longer files are not shown, in characters. */
const longestText = 256 * 1024

/**
 * The text of a gateway.yaml with what its schemas call secret starred out, what stands below names that nobody knows too, and
 * without its comments. Null where it is no YAML, and nobody can say where its secrets are.
 */
export function veiled(text: string, { file, plugins }: Pick<Config, 'file' | 'plugins'>): string | null {
  if (text.length > longestText) return null
  const veil = new Veil(file, text)
  const yaml = readYaml(text, veil)
  if (!yaml) return null
  hideSecrets(yaml, veil, yaml.node([]), coreSchema)
  const list = yaml.node(['plugins'])
  for (const item of list ? yaml.items(list) : []) {
    for (const [name, options] of yaml.pairs(item)) {
      const known = plugins.find((entry) => entry.name === name)
      if (known) hideSecrets(yaml, veil, options, known.plugin.config)
      else hideAll(yaml, veil, options)
    }
  }
  return redactText(withoutComments(veil.starred(text)))
}

/** A report that is asked for nothing but what was hidden. */
class Veil extends Report {
  readonly #places: (readonly [start: number, end: number])[] = []

  override hide(start: number, end: number): void {
    this.#places.push([start, end])
  }

  /** Any secret as three stars: its length tells something too. */
  starred(text: string): string {
    let shown = ''
    let at = 0
    for (const [start, end] of this.#places.toSorted(([one], [other]) => one - other)) {
      if (end <= at || end <= start) continue
      shown += `${text.slice(at, Math.max(at, start))}***`
      at = end
    }
    return shown + text.slice(at)
  }
}

/** A key that was put aside in a comment is still a key. What only looks like a comment, inside quotes, goes too. */
function withoutComments(text: string): string {
  return text.replaceAll(/(^|[ \t])#.*$/gm, '$1#')
}
