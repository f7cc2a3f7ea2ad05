/** A limit to waiting. */

export class TooLate extends Error {
  override name = 'TooLate'
}

/** Settles as `answer` does, and rejects with TooLate where that takes longer than `ms`. */
export function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new TooLate(`no answer within ${ms} ms`))
    // Where our own process was busy, timers come before the answers that wait in the socket: those get their turn first.
    const timer = setTimeout(() => setImmediate(late), ms)
    answer.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
