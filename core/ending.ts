/** How things end: in groups, one after the other, what stands in one group at the same time, and each with its own deadline. */
import type { Log } from './plugin.ts'

/**
 * How long, in ms, a stop may take beyond the drain before the process exits all the same: 2 s for those that do not leave, and what
 * the parts may take to end, one after the other.
 */
export const hardDeadline = 20_000

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

/** Whether the process shall end, so that whatever ends has a deadline. */
export class Hurry {
  readonly #waiting = new Set<() => void>()
  #hasBegun = false

  /** From now on. */
  begin(): void {
    this.#hasBegun = true
    for (const start of this.#waiting) start()
    this.#waiting.clear()
  }

  /** Calls back now or when it begins; what is returned takes that back. Not a promise: one that is never settled keeps all who wait for it. */
  whenBegun(start: () => void): () => void {
    if (this.#hasBegun) start()
    else this.#waiting.add(start)
    return () => void this.#waiting.delete(start)
  }
}

/** Ends them. Never rejects: what fails, or does not end in time, keeps nothing else from its end. */
export class Ending {
  readonly #pending = new Set<string>()
  readonly #log: Log
  readonly #hurry: Hurry | null

  /** `hurry`: deadlines count from when it has begun, where that is later. Absent: at once. */
  constructor(log: Log, hurry: Hurry | null = null) {
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
    const late = Promise.withResolvers<boolean>()
    let timer: NodeJS.Timeout | undefined
    const start = () => {
      timer = setTimeout(() => late.resolve(false), within)
    }
    const takeBack = this.#hurry ? this.#hurry.whenBegun(start) : start()
    this.#pending.add(name)
    try {
      const end = Promise.resolve(part.end()).then(() => true)
      if (await Promise.race([end, late.promise])) return true
      this.#log.error({ part: name, deadline_ms: within }, `${name} did not end in time: it is left behind`)
      end.catch((error: unknown) => this.#log.error({ part: name, err: error }, `${name} did not end cleanly`))
    } catch (error) {
      this.#log.error({ part: name, err: error }, `${name} did not end cleanly`)
    } finally {
      takeBack?.()
      clearTimeout(timer)
      this.#pending.delete(name)
    }
    return false
  }
}
