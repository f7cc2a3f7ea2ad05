/** What an answer says of itself: who has answered, under what name, and why it ended. Nothing else of it is kept or told. */
import { jsonField } from 'postern/provider'

/** As many of the last events are kept: a reason to finish, the tokens, and the end are three of their own in some APIs. */
const keptEvents = 4
/** Of these APIs' reasons none is longer; an answer with several choices has several. */
const longestReason = 64
const mostReasons = 8
/** Characters of a name. */
const longestName = 128

/** Notices events as they pass; reads them once, at the end, and only where somebody wants to know. */
export class Answer {
  #head: Buffer | null = null
  readonly #tail: Buffer[] = []

  see(data: Buffer): void {
    this.#head ??= data
    if (this.#tail.push(data) > keptEvents) this.#tail.shift()
  }

  /** The model that answered. */
  get model(): string | null {
    return this.#first('model', 'message.model', 'response.model', 'modelVersion')
  }

  /** The name of the answer. */
  get id(): string | null {
    return this.#first('id', 'message.id', 'response.id', 'responseId')
  }

  /** Why it ended, in the API's own words: one for each choice. */
  get finishReasons(): readonly string[] {
    for (const data of this.#tail.toReversed()) {
      const found = reasonsIn(data)
      if (found.length > 0) return found
    }
    const last = this.#tail.at(-1)
    const status = last && (jsonField(last, 'response.status') ?? ownStatus(last))
    return typeof status === 'string' && word.test(status) ? [status] : []
  }

  #first(...fields: readonly string[]): string | null {
    if (this.#head === null) return null
    for (const field of fields) {
      const value = jsonField(this.#head, field)
      if (typeof value === 'string' && value !== '' && value.length <= longestName) return value
    }
    return null
  }
}

const word = /^[A-Za-z_]{1,64}$/
const names = ['"finish_reason"', '"stop_reason"', '"finishReason"']

/** Inside a text its quotes would be escaped, so the bytes are found only where they are a name. */
function reasonsIn(data: Buffer): string[] {
  const found: string[] = []
  for (const name of names) {
    for (let at = data.indexOf(name); at !== -1 && found.length < mostReasons; at = data.indexOf(name, at + 1)) {
      const behind = at + name.length
      const match = /^\s*:\s*"([A-Za-z_]+)"/.exec(data.toString('latin1', behind, behind + longestReason))
      if (match) found.push(match[1]!)
    }
  }
  return found
}

/** A whole document of the Responses API. */
function ownStatus(data: Buffer): unknown {
  return jsonField(data, 'object') === 'response' ? jsonField(data, 'status') : undefined
}
