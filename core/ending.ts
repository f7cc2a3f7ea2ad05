/** How things end: in groups, one after the other, what stands in one group at the same time, and each with its own deadline. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from './plugin.ts'

/** Something that has to end. */
export interface Part {
  /** For the log and /healthz: whose it is, and what. */
  readonly name: string
  end(): void | Promise<void>
}

/** What may end at the same time. */
export interface Group {
  /** How long it may take, in ms. What takes longer is left behind, and the next group has its turn. */
  readonly within: number
  readonly parts: readonly Part[]
}

/** Ends them. Never rejects: what fails, or does not end in time, keeps nothing else from its end. */
export class Ending {
  readonly #pending = new Set<string>()
  readonly #log: Log
  readonly #hurry: Promise<unknown> | null

  /** `hurry`: deadlines count from when it is fulfilled, where that is later. Absent: nobody has to wait for that. */
  constructor(log: Log, hurry: Promise<unknown> | null = null) {
    this.#log = log
    this.#hurry = hurry
  }

  /** What is being waited for. */
  get pending(): readonly string[] {
    return [...this.#pending]
  }

  /** Resolves with the names of those that did not end as they should; each is in the log, with the reason. */
  async run(groups: readonly Group[]): Promise<readonly string[]> {
    const failed: string[] = []
    for (const { parts, within } of groups) {
      const ended = await Promise.all(parts.map((part) => this.#end(part, within)))
      failed.push(...parts.filter((_, at) => !ended[at]).map(({ name }) => name))
    }
    return failed
  }

  async #end(part: Part, within: number): Promise<boolean> {
    const { name } = part
    const late = new AbortController()
    this.#pending.add(name)
    try {
      const end = Promise.resolve(part.end()).then(() => true)
      const deadline = async () => {
        await this.#hurry
        return sleep(within, false, { signal: late.signal })
      }
      if (await Promise.race([end, deadline()])) return true
      this.#log.error({ part: name, deadline_ms: within }, `${name} did not end in time: it is left behind`)
      end.catch((error: unknown) => this.#log.error({ part: name, err: error }, `${name} did not end cleanly`))
    } catch (error) {
      this.#log.error({ part: name, err: error }, `${name} did not end cleanly`)
    } finally {
      late.abort()
      this.#pending.delete(name)
    }
    return false
  }
}
