/** How much memory a target keeps hold of while it is given what it was given before. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { attempt } from './engine.ts'
import type { FuzzTarget } from './target.ts'

/**
 * Plays the inputs for so many seconds, and as long again: the bytes that are held more after the second time than after the first.
 * Without coverage, which itself keeps a record of every closure that was ever made.
 */
export async function growthOf(target: FuzzTarget, inputs: readonly Buffer[], seconds: number): Promise<number> {
  await using opened = await target.open()
  const play = async (): Promise<number> => {
    const end = performance.now() + seconds * 1000
    // All of them at least once: a first time is no growth.
    for (let at = 0; at < inputs.length || performance.now() < end; at++)
      await attempt(opened, inputs[at % inputs.length]!)
    return held()
  }
  const before = await play()
  return (await play()) - before
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void // what the flag exposes

/** Bytes in use, on the heap and beside it, after a collection. */
function held(): number {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
