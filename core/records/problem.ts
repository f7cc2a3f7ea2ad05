/** What an operator asked for and cannot have; the message says why, and may be shown. */
export class RecordProblem extends Error {
  override name = 'RecordProblem'
  readonly code: 'NOT_FOUND' | 'TAKEN' | 'INVALID'
  constructor(code: RecordProblem['code'], message: string) {
    super(message)
    this.code = code
  }
}

export function notFound(what: string, which: string | number): RecordProblem {
  return new RecordProblem('NOT_FOUND', `there is no ${what} ${which}`)
}

export function invalid(message: string): RecordProblem {
  return new RecordProblem('INVALID', message)
}
