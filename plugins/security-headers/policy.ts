/** Stands in a policy for the source that admits the page's own scripts. */
export const placeholder = '__CSP_NONCE__'

/** A Content-Security-Policy, compiled. */
export interface Policy {
  /** Whether a nonce has a place in it. */
  readonly takesNonce: boolean
  /** The header's value. Without a nonce (empty), what it would have admitted is admitted as inline script. */
  withNonce(nonce: string): string
}

/** Compiles a policy, null where the text is empty. A policy that says nothing of nonces is given a place for one. */
export function compilePolicy(text: string): Policy | null {
  // Some write it as they would in HTML; the placeholder is the whole source.
  const directives = parse(text.replaceAll(`'nonce-${placeholder}'`, placeholder))
  if (directives.length === 0) return null
  // A header of one line, cut where the nonce goes: per page the pieces are only joined.
  const pieces = withPlace(directives)
    .map((words) => words.join(' '))
    .join('; ')
    .split(placeholder)
  return {
    takesNonce: pieces.length > 1,
    withNonce: (nonce) => pieces.join(nonce === '' ? "'unsafe-inline'" : `'nonce-${nonce}'`),
  }
}

/** A directive's name and its sources. */
type Directive = readonly [name: string, ...sources: string[]]

function parse(text: string): Directive[] {
  return text.split(';').flatMap((directive): Directive[] => {
    const [name, ...sources] = directive.split(/\s+/).filter((word) => word !== '')
    return name === undefined ? [] : [[name.toLowerCase(), ...sources]]
  })
}

/** Admits the nonce in script-src; `script-src 'none'` says that there shall be no scripts, and stays. */
function withPlace(directives: readonly Directive[]): readonly Directive[] {
  const at = directives.findIndex(([name]) => name === 'script-src')
  const scripts = directives[at]
  if (scripts === undefined) return withScripts(directives)
  const speaks = scripts.some((source) => source === placeholder || /^'(nonce-|none'$)/i.test(source))
  return speaks ? directives : directives.with(at, [...scripts, placeholder])
}

/** Inserts the script-src that a browser makes of default-src, and the nonce, behind it. */
function withScripts(directives: readonly Directive[]): readonly Directive[] {
  const at = directives.findIndex(([name]) => name === 'default-src')
  const [, ...sources] = directives[at] ?? ['', "'self'"]
  const own = sources.filter((source) => source.toLowerCase() !== "'none'")
  return directives.toSpliced(at + 1, 0, ['script-src', ...own, placeholder])
}
