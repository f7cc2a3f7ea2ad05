/** How often a property is tried: as often as its test says, times POSTERN_RUNS. `npm run test:long` says 50. */
const factor = Number(process.env.POSTERN_RUNS ?? 1)

export function runs(times: number): { numRuns: number } {
  return { numRuns: Math.max(1, Math.round(times * factor)) }
}
