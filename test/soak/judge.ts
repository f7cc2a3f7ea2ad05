/** What a client makes of the bytes it got: is it the answer to what it has asked, all of it and nothing else? */
import { answerOf, type Origin, type Question } from './question.ts'

/**
 * How an answer ended. `whole`: as it was sent, to the last byte. `cut`: a beginning of it. `broken off`: whole events of it, and the error
 * event in which the gateway says that no more will come. `refused`: an error in its place. `wrong`: anything else.
 */
export type End = 'whole' | 'cut' | 'broken off' | 'refused' | 'wrong'

export interface Judged {
  readonly end: End
  /** Null: nothing of an answer has come. */
  readonly origin: Origin | null
  /** What is wrong, in a sentence. */
  readonly wrong?: string
}

/** `about`: what only the client knows of the question, such as the hash of the file that it has sent. */
export function judge(question: Question, status: number, text: string, about = ''): Judged {
  // A client that waits for a stream hears comments meanwhile.
  const said = text.replace(/^(?::[^\n]*\n\n)+/, '')
  const marks = [...said.matchAll(/"soak":"(\S+) (\S+) (\S+) (\d+)"/g)]
  const [, from, name] = marks[0] ?? []
  if (from === undefined || name === undefined) return withoutMark(question, status, said)
  const origin = { from, name }
  const wrong = (what: string): Judged => ({ end: 'wrong', origin, wrong: what })
  if (marks.some(([, , , id]) => id !== question.id)) return wrong('an event that somebody else has asked for')
  if (marks.some(([, one, other]) => one !== from || other !== name)) return wrong('events of two answers')
  if (marks.some(([, , , , at], place) => Number(at) !== place)) return wrong('events out of order')
  const whole = answerOf(question, origin, about).join(question.api === 'turn' ? '\n' : '')
  if (said === whole) return { end: status === 200 ? 'whole' : 'wrong', origin, wrong: `whole, with status ${status}` }
  if (whole.startsWith(said)) return { end: 'cut', origin }
  return isBrokenOff(question, whole, said) ? { end: 'broken off', origin } : wrong('not what was sent')
}

function withoutMark(question: Question, status: number, said: string): Judged {
  const { stream, api } = question
  const [first = ''] = answerOf(question, { from: '', name: '' })
  const opening = first.slice(0, first.indexOf('"soak":"') + '"soak":"'.length)
  const isBeginning =
    opening.startsWith(said) || (said.startsWith(opening) && !said.slice(opening.length).includes('"'))
  if (isBeginning && (status === 200 || status === 0)) return { end: 'cut', origin: null }
  const isTold = api === 'turn' ? /^\{"type":"error"/ : /^(?:event: error\n)?data: \{.*"error".*\}\n\n/
  if (status >= 400 || (stream && isTold.test(said))) return { end: 'refused', origin: null }
  return { end: 'wrong', origin: null, wrong: 'nothing that was sent' }
}

/** Whole events, and behind them one that is an error. */
function isBrokenOff({ stream, api }: Question, whole: string, said: string): boolean {
  if (!stream && api !== 'turn') return false
  const error =
    api === 'turn'
      ? /(?<=\n)\{"type":"(?:error|response\.failed)".*\}$/
      : /(?<=\n\n)(?:event: error\n)?data: \{.*"error".*\}\n\n(?:data: \[DONE\]\n\n)?$/
  const at = said.search(error)
  return at > 0 && whole.startsWith(said.slice(0, at))
}
