/** Texts that wait in a queue. */

/** At most `longest` characters, in a string of its own: a slice would keep the whole one alive while it waits. */
export function cut(text: string, longest: number): string {
  return text.length <= longest ? text : `${Buffer.from(text.slice(0, longest - 1)).toString()}…`
}
