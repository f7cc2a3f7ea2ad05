/** Who listens to which channel in this process. */
import type { Log } from '../plugin.ts'

export type Listener = (message: string) => void

export class Listeners {
  readonly #log: Pick<Log, 'error'>
  readonly #byChannel = new Map<string, Set<Listener>>()

  constructor(log: Pick<Log, 'error'>) {
    this.#log = log
  }

  get channels(): string[] {
    return [...this.#byChannel.keys()]
  }

  add(channel: string, listener: Listener): void {
    const listeners = this.#byChannel.get(channel) ?? new Set()
    this.#byChannel.set(channel, listeners.add(listener))
  }

  /** True where it was the last one of its channel. */
  remove(channel: string, listener: Listener): boolean {
    const listeners = this.#byChannel.get(channel)
    if (!listeners?.delete(listener) || listeners.size > 0) return false
    return this.#byChannel.delete(channel)
  }

  /** One that throws is logged and keeps nothing from the others. */
  tell(channel: string, message: string): void {
    for (const listener of this.#byChannel.get(channel) ?? []) {
      try {
        listener(message)
      } catch (error) {
        this.#log.error({ err: error, channel }, 'a listener of the store failed')
      }
    }
  }

  clear(): void {
    this.#byChannel.clear()
  }
}
