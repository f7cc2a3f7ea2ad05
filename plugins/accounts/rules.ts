/** An account's own rules for when it is to be left alone: by the status of an answer, and what its body says. */

export interface PauseRule {
  readonly status: number
  /** In lower case; one of them is enough. */
  readonly keywords: readonly string[]
  /** In ms. */
  readonly duration: number
  readonly description: string
}

/** So much of a body is looked at, in bytes. */
const looked = 64 * 1024
const mostRules = 50
/** A rule's longest pause, in minutes. */
const longest = 7 * 24 * 60

/** Reads `extra.temp_unschedulable_rules`; what is no rule is left out. */
export function readRules(value: unknown): readonly PauseRule[] {
  if (!Array.isArray(value)) return none
  return value.slice(0, mostRules).flatMap((item: unknown) => readRule(item) ?? [])
}

const none: readonly PauseRule[] = Object.freeze([])

function readRule(item: unknown): PauseRule | null {
  if (typeof item !== 'object' || item === null) return null
  const { error_code: status, keywords, duration_minutes: minutes, description } = item as Record<string, unknown> // an object
  if (typeof status !== 'number' || typeof minutes !== 'number' || !(minutes > 0) || !Array.isArray(keywords))
    return null
  const words = keywords.filter((word): word is string => typeof word === 'string' && word !== '')
  if (words.length === 0) return null
  return {
    status,
    keywords: words.map((word) => word.toLowerCase()),
    duration: Math.min(minutes, longest) * 60_000,
    description: typeof description === 'string' ? description.slice(0, 200) : '',
  }
}

/** The first rule that the answer meets. A refused credential (401) is never one for a pause. */
export function ruleFor(rules: readonly PauseRule[], status: number, body: Buffer | null): PauseRule | null {
  if (rules.length === 0 || status === 401) return null
  const concerned = rules.filter((rule) => rule.status === status)
  if (concerned.length === 0 || body === null) return null
  const text = body.toString('utf8', 0, looked).toLowerCase()
  return concerned.find(({ keywords }) => keywords.some((word) => text.includes(word))) ?? null
}
