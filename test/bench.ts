/** Benchmarks that hold their rival: both run in turns in one process, and what is told is the ratio. */
import { Bench } from 'tinybench'

/**
 * Runs the ways against each other and prints them, fastest first, as multiples of the first one named. Timings are for
 * reading: no test asserts them.
 */
export async function bench(what: string, ways: Readonly<Record<string, () => unknown>>): Promise<void> {
  const runs = new Bench({ time: 300, warmupTime: 100 })
  for (const [name, way] of Object.entries(ways)) runs.add(name, () => void way())
  await runs.run()
  const own = runs.tasks[0]
  const nanoseconds = (task = own) => (task?.result?.state === 'completed' ? task.result.latency.p50 * 1e6 : Number.NaN)
  process.stdout.write(`\n${what}\n`)
  for (const task of runs.tasks) {
    const ratio = nanoseconds(task) / nanoseconds(own)
    process.stdout.write(
      `  ${task.name.padEnd(32)} ${nanoseconds(task).toFixed(0).padStart(9)} ns  ${ratio.toFixed(2).padStart(8)} x\n`,
    )
  }
}
