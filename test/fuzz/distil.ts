/** Of many inputs the few that together reach what all of them reach: short ones first. */
import type { Coverage } from './coverage.ts'
import { attempt } from './engine.ts'
import type { FuzzTarget } from './target.ts'

/** At most `most`, each of at most `longest` bytes: they are kept in the repository and played by `npm test`. */
export async function distilled(
  target: FuzzTarget,
  corpus: readonly Buffer[],
  coverage: Coverage,
  { most = 60, longest = 1024 } = {},
): Promise<Buffer[]> {
  await using opened = await target.open()
  coverage.begin(target.covers)
  const words = new Set<string>()
  const kept: Buffer[] = []
  for (const input of corpus
    .filter(({ length }) => length <= longest)
    .toSorted((one, other) => one.length - other.length)) {
    if (kept.length === most) break
    const outcome = await attempt(opened, input)
    const isNew = coverage.take().size > 0
    if ('fault' in outcome || (!isNew && words.has(outcome.word))) continue
    words.add(outcome.word)
    kept.push(input)
  }
  return kept
}
