/** The blocks of code in a document, with their lines. */
import { readFileSync } from 'node:fs'

export interface Block {
  /** `ts`, `yaml`, `sh`; empty where the fence names none. */
  readonly language: string
  readonly text: string
  /** Where it begins: `docs/x.md:12`. */
  readonly place: string
}

/** All of them, in order. `path` is counted from the root. */
export function blocksOf(path: string): readonly Block[] {
  const text = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
  return [...text.matchAll(/^```(\w*)[^\n]*\n([\s\S]*?)^```$/gm)].map(({ 1: language = '', 2: code = '', index }) => ({
    language,
    text: code,
    place: `${path}:${text.slice(0, index).split('\n').length + 1}`,
  }))
}

/** Calls of `postern` in a shell's block, however it is called: their words, quotes taken away. */
export function callsIn({ text }: Block): readonly (readonly string[])[] {
  return text.split('\n').flatMap((line) => {
    const [, words] =
      /^(?:npx |npm run -s |node bin\/)?postern(?:\.js)?(?: --)? (.+)$/.exec(line.replace(/\s+#.*$/, '')) ?? []
    return words === undefined
      ? []
      : [[...words.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '')]
  })
}
