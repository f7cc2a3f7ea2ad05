/** Checks that what a plugin reads was written by one above it. */
import type { Fact } from '../plugin.ts'
import type { Item } from './plugins.ts'
import type { Report } from './report.ts'

/** Reports every fact that a plugin reads too early or that nobody writes. */
export function checkFacts(items: readonly Item[], report: Report): void {
  // One that could not be loaded may write anything: to miss its facts would only be the echo of that problem.
  const complete = items.every(({ plugin }) => plugin !== null)
  const written = new Set<Fact>(gatewayFacts)
  items.forEach(({ called, offset, plugin }, index) => {
    for (const fact of plugin?.writes ?? []) written.add(fact)
    for (const fact of plugin?.reads ?? []) {
      if (written.has(fact)) continue
      const below = items.slice(index + 1).find((other) => other.plugin?.writes.includes(fact))
      const reads = `${called} reads ${JSON.stringify(fact)}`
      if (below) {
        const { line } = report.position(below.offset)
        const order = `${reads}, which ${below.called} (line ${line}) writes: move ${below.called} above it`
        report.add(offset, order, undefined, 'CONFIG_FACT')
      } else if (complete) {
        report.add(
          offset,
          `${reads}, and nothing writes it`,
          `Add a plugin above it that writes ${JSON.stringify(fact)}`,
          'CONFIG_FACT',
        )
      }
    }
  })
}

/** Written by the gateway itself before the first hook. */
const gatewayFacts: readonly Fact[] = ['provider', 'claim']
