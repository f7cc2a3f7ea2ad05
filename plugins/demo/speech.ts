/** What the demo says, whichever API asked: some text that owns up to being a demo, or a call of the client's tool. */
import { tokensOf } from './json.ts'
import type { Wish } from './knobs.ts'
import { sample } from './sample.ts'

/** One turn of a conversation, as every dialect understands it. */
export interface Turn {
  /** The last text of the user's. */
  readonly said: string
  readonly tools: readonly Tool[]
  /** The tool that must be called, `none` where none may be, null where the demo chooses. */
  readonly choice: { readonly name: string } | 'none' | null
  /** The schema that the text must fit, or null. */
  readonly schema: unknown
  /** The most tokens that may be said; null: any number. */
  readonly limit: number | null
}

export interface Tool {
  readonly name: string
  readonly parameters: unknown
}

export type Speech = Text | Call

export interface Text {
  readonly kind: 'text'
  readonly pieces: readonly string[]
  readonly text: string
  readonly tokens: number
  /** Whether the limit of the request ended it. */
  readonly cut: boolean
}

export interface Call {
  readonly kind: 'call'
  readonly name: string
  readonly input: unknown
  /** The input as JSON, in the pieces it is streamed in. */
  readonly pieces: readonly string[]
  readonly text: string
  readonly tokens: number
}

/** What the demo answers. The same turn and wish always give the same words. */
export function speak(turn: Turn, wish: Wish): Speech {
  const excerpt = excerptOf(turn.said)
  const tool = toolOf(turn)
  if (tool !== undefined) return call(tool, excerpt)
  if (turn.schema !== null) return spoken(slices(JSON.stringify(sample(turn.schema, excerpt))), turn.limit, asItComes)
  return spoken(words(excerpt, wish), turn.limit, wish)
}

function toolOf({ tools, choice }: Turn): Tool | undefined {
  if (choice === 'none') return undefined
  return choice === null ? tools[0] : tools.find((tool) => tool.name === choice.name)
}

function call(tool: Tool, excerpt: string): Call {
  const input = sample(tool.parameters, excerpt) ?? {}
  const text = JSON.stringify(input)
  return { kind: 'call', name: tool.name, input, pieces: slices(text), text, tokens: tokensOf(text.length) }
}

const longestExcerpt = 60

/** A short piece of what was said, on one line. The first slice keeps a message of many megabytes cheap. */
function excerptOf(said: string): string {
  const start = said.trimStart().slice(0, 4 * longestExcerpt)
  const line = start.replaceAll(/\s+/g, ' ').trim().toWellFormed()
  if (line.length <= longestExcerpt) return line
  // The slice may end in the first half of a character that takes two.
  const short = line.slice(0, longestExcerpt).replace(/[\uD800-\uDBFF]$/, '')
  return `${short.trim()}…`
}

const more =
  ' A postern is the small side gate of a fortress. Every call to an AI API goes through it: the plugins look at it,' +
  ' choose where it goes, and let the answer pass as it comes. These words are here only to make the answer longer.'
const moreWords = wordsOf(more)

/** The text in words: its natural length, or as many as were wished for. */
function words(excerpt: string, wish: Wish): string[] {
  const echo = excerpt === '' ? 'You sent no text.' : `You said “${excerpt}”.`
  const all = wordsOf(
    `Hello from Postern's demo upstream. ${echo} No model has read it and no network was asked;` +
      ' give the gateway a key and a real model answers in my place.',
  )
  let characters = all.reduce((sum, word) => sum + word.length, 0)
  const enough = () => (wish.tokens === null ? all.length >= (wish.chunks ?? 0) : characters >= wish.tokens * 4)
  for (let at = 0; !enough(); at++) {
    // The index is below the length, and the list is not empty.
    const word = moreWords[at % moreWords.length] as string
    all.push(word)
    characters += word.length
  }
  return wish.tokens === null ? all : within(all, wish.tokens)
}

function wordsOf(text: string): string[] {
  return text.match(/\s*\S+/g) ?? []
}

/** Words put together into `count` pieces of nearly the same number of words. */
function pieces(all: readonly string[], count: number | null): readonly string[] {
  if (count === null || count >= all.length) return all
  const number = Math.max(1, count)
  return Array.from({ length: number }, (_, at) => {
    const from = Math.floor((at * all.length) / number)
    return all.slice(from, Math.floor(((at + 1) * all.length) / number)).join('')
  })
}

const asItComes: Wish = { chunks: null, tokens: null }

/** Ends the text at the limit, says whether that was needed, and lays it out in pieces. */
function spoken(all: readonly string[], limit: number | null, wish: Wish): Text {
  const kept = limit === null ? all : within(all, limit)
  const text = kept.join('')
  const cut = kept.length < all.length
  const tokens = Math.max(1, (cut ? limit : wish.tokens) ?? tokensOf(text.length))
  return { kind: 'text', pieces: pieces(kept, wish.chunks), text, tokens, cut }
}

/** The first pieces that make no more than so many tokens; always one, for no answer is empty. */
function within(all: readonly string[], tokens: number): string[] {
  let characters = 0
  const end = all.findIndex((piece) => (characters += piece.length) > tokens * 4)
  return end === -1 ? [...all] : all.slice(0, Math.max(1, end))
}

/** A text in slices of a few characters; no slice cuts one in two. */
function slices(text: string): string[] {
  return text.match(/.{1,12}/gsu) ?? []
}
