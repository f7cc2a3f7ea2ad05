/** A part of a list: who comes behind the id `after`, so many at most. */
export interface Page {
  readonly after: number
  readonly limit: number
}
