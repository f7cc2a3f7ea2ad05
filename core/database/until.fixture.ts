/** Waiting in tests: for a condition, with a deadline. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves as soon as it is so; fails after ten seconds. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end; await sleep(5)) if (await isSo()) return
  assert.fail('it did not come to that within ten seconds')
}
