import { DatabaseUnavailable } from '../database/database.ts'

/** How long a question to the database may take, whoever waits for it: 3 s, in ms. */
export const patience = 3000

/** Rejects with DatabaseUnavailable when the answer has not come in time; the question itself has limits of its own. */
export async function withDeadline<T>(asking: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DatabaseUnavailable(`no answer within ${patience} ms`)), patience)
  })
  try {
    return await Promise.race([asking, late])
  } finally {
    clearTimeout(timer)
  }
}
