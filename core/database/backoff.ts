/** How long to wait before the next attempt: longer each time, and never at the same moment as everybody else. */

/** Between two attempts, in ms. */
export const longestPause = 5000

/** In ms: 100, 200, 400 … up to 5 000, each times a random factor between 0.5 and 1. `attempt` counts from 0. */
export function backoff(attempt: number): number {
  return Math.min(100 * 2 ** Math.min(attempt, 16), longestPause) * (0.5 + Math.random() / 2)
}
