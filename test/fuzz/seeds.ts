/** Inputs that are kept: each fault as it was found, and a corpus that covers what was reached. `npm test` plays them all. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = new URL('seeds/', import.meta.url)

/** A fault as it was found, made as small as it goes. */
export interface Seed {
  readonly rule: string
  readonly detail: string
  /** The random seed of the run that found it, and after how many inputs. */
  readonly seed: number
  readonly execution: number
  /** One character for each byte. */
  readonly input: string
}

/** The faults that were found in a target, by their file names. */
export function readSeeds(target: string): Map<string, Buffer> {
  const place = new URL(`${target}/`, folder)
  const seeds = new Map<string, Buffer>()
  if (!existsSync(place)) return seeds
  for (const name of readdirSync(place).toSorted()) {
    if (name === corpusName) continue
    const { input } = JSON.parse(readFileSync(new URL(name, place), 'utf8')) as Seed // `writeSeed` wrote it
    seeds.set(name, Buffer.from(input, 'latin1'))
  }
  return seeds
}

const corpusName = 'corpus.json'

/** The inputs that together reach all that was reached. */
export function readCorpus(target: string): Buffer[] {
  const place = new URL(`${target}/${corpusName}`, folder)
  if (!existsSync(place)) return []
  const inputs = JSON.parse(readFileSync(place, 'utf8')) as string[] // `writeCorpus` wrote it
  return inputs.map((input) => Buffer.from(input, 'latin1'))
}

/** Returns the path of the file. */
export function writeSeed(target: string, seed: Seed): string {
  const name = createHash('sha256').update(seed.rule).update(seed.input).digest('hex').slice(0, 12)
  return write(target, `${name}.json`, seed)
}

export function writeCorpus(target: string, inputs: readonly Buffer[]): string {
  const shown = inputs.map((input) => input.toString('latin1'))
  return write(target, corpusName, shown.toSorted())
}

function write(target: string, name: string, value: unknown): string {
  const place = new URL(`${target}/`, folder)
  mkdirSync(place, { recursive: true })
  const path = fileURLToPath(new URL(name, place))
  // Above ASCII as escapes: an editor that reads UTF-8 then changes nothing.
  const text = JSON.stringify(value, null, 2).replaceAll(
    /[^\n\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  writeFileSync(path, `${text}\n`)
  return path
}
