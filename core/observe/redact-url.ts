/** Secrets in URLs. */
import type { KeyRules } from './redact-keys.ts'

/** The URL, or path with its query, with credentials, secret parameters and whatever looks like a key masked. */
export function compileUrlRules(keys: KeyRules, text: (text: string) => string): (url: string) => string {
  const isSecret = (name: string) => parameters.has(name.toLowerCase()) || keys.isSecret(name)
  return (url) => {
    const start = url.search(/[?#]/)
    if (start === -1) return text(url)
    return text(url.slice(0, start)) + maskParameters(url.slice(start))
  }

  function maskParameters(query: string): string {
    return query.replace(
      /([?&#;])([^&#;=]*)(=?)([^&#;]*)/g,
      (_, sign: string, name: string, is: string, value: string) =>
        is !== '' && value !== '' && isSecret(decoded(name))
          ? `${sign}${name}=***`
          : sign + text(name) + is + maskValue(value),
    )
  }

  /** A value is looked at as it is and as it is meant; what cannot be told apart goes whole. */
  function maskValue(value: string): string {
    const meant = decoded(value)
    return text(meant) === meant ? text(value) : '***'
  }
}

/** Names that are secret as parameters only. */
const parameters = new Set(['key', 'code', 'sig', 'auth', 'pwd', 'x-goog-signature', 'x-amz-signature'])

function decoded(part: string): string {
  if (!/[%+]/.test(part)) return part
  try {
    return decodeURIComponent(part.replaceAll('+', ' '))
  } catch {
    return part
  }
}
