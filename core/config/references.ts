/** What gateway.yaml takes from elsewhere: `${VAR}`, `${VAR:-default}` and `file:PATH`. `$${` is a plain `${`. */
import { hash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { readScalar, type Scalar, type Yaml } from './document.ts'
import type { Report } from './report.ts'

export interface Origin {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What `file:` paths are relative to. */
  readonly folder: string
  /** Is told of every file that was looked at: its path, and the SHA-256 of its bytes, null where it could not be read. */
  readonly files?: Map<string, string | null>
  /** Files as they were read before, by their paths: these are not read again. */
  readonly given?: ReadonlyMap<string, Uint8Array> | undefined
  /** Takes what was read. */
  readonly taken?: Map<string, Uint8Array>
}

/** The scalars that held a reference. */
export interface References {
  /** What was written, for the problems that must not say what came of it. */
  readonly written: ReadonlyMap<Scalar, string>
  /** The texts that were read as a number, true, false or null, in case the schema wants a text. */
  readonly texts: ReadonlyMap<Scalar, string>
  /** Scalars without a value, for reasons that were reported. */
  readonly broken: ReadonlySet<Scalar>
  /** What the files held, in the order of the text. */
  readonly contents: readonly string[]
}

/** Puts the values into the document, and reports what cannot be had. */
export async function resolveReferences(yaml: Yaml, report: Report, origin: Origin): Promise<References> {
  const written = new Map<Scalar, string>()
  const texts = new Map<Scalar, string>()
  const broken = new Set<Scalar>()
  const contents: string[] = []
  for (const scalar of yaml.scalars()) {
    const { value } = scalar
    if (typeof value !== 'string' || !(value.includes('${') || value.startsWith('file:'))) continue
    const offset = (index: number) => placeOf(scalar, value, yaml.text, index)
    const found = await resolveText(value, { ...origin, report, contents, offset })
    written.set(scalar, value)
    if (found === null) broken.add(scalar)
    else if (scalar.type === 'PLAIN' && !scalar.tag && /^\$\{[^}]*\}$/.test(value)) {
      texts.set(scalar, found)
      yaml.set(scalar, readScalar(found))
    } else yaml.set(scalar, found)
  }
  return { written, texts, broken, contents }
}

interface Place extends Origin {
  readonly report: Report
  readonly contents: string[]
  /** Where in the file the reference is that begins at an index of the text. */
  offset(index: number): number
}

async function resolveText(text: string, place: Place): Promise<string | null> {
  const found = expand(text, place)
  if (found === null) return null
  // Only what the file itself says is a path: what a variable holds is never read as one.
  const fallback = /^\$\{(\w+):-file:[^}]*\}$/.exec(text)?.[1]
  const isPath = text.startsWith('file:') || (fallback !== undefined && !place.env[fallback])
  return isPath ? readReferenced(found.slice('file:'.length), text, place) : found
}

function expand(text: string, place: Place): string | null {
  let sound = true
  const expanded = text.replaceAll(
    /\$\$\{|\$\{([^}]*)(\}?)/g,
    (match, inner: string | undefined, end, index: number) => {
      if (match === '$${') return '${'
      const [, name, fallback] = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/.exec(inner ?? '') ?? []
      if (name === undefined || end === '' || fallback?.includes('${')) {
        sound = false
        place.report.add(
          place.offset(index),
          'this is no reference',
          'Write ${NAME} or ${NAME:-default}; a plain ${ is written $${',
          'CONFIG_REFERENCE',
        )
        return ''
      }
      const value = place.env[name]
      if (value !== undefined) place.report.conceal(value)
      if (value === undefined && fallback === undefined) {
        sound = false
        place.report.add(
          place.offset(index),
          `the environment variable ${name} is not set`,
          `Set ${name} in the environment, or give a default: \${${name}:-default}`,
          'CONFIG_REFERENCE',
        )
      }
      return fallback === undefined ? (value ?? '') : value || fallback
    },
  )
  return sound ? expanded : null
}

/** No credential is larger; a file that is, is the wrong one. */
const largestFile = 1024 * 1024

async function readReferenced(path: string, written: string, place: Place): Promise<string | null> {
  const fail = (reason: string) => {
    const cure = `Its path is relative to ${place.folder}`
    place.report.add(place.offset(0), `${written} cannot be read: ${reason}`, cure, 'CONFIG_REFERENCE')
    return null
  }
  const file = resolve(place.folder, path)
  place.files?.set(file, null)
  try {
    const given = place.given?.get(file)
    const stats = given ? null : await stat(file)
    // A device or a pipe may never end.
    if (stats && !stats.isFile()) return fail('it is no file')
    if (stats && stats.size > largestFile) {
      // Nobody reads it, so nobody has to know when it changes.
      place.files?.delete(file)
      return fail('it is larger than 1 MiB')
    }
    const bytes = given ? Buffer.from(given) : await readFile(file)
    place.files?.set(file, hash('sha256', bytes))
    place.taken?.set(file, bytes)
    const content = bytes.toString('utf8').replace(/\r?\n$/, '')
    place.contents.push(content)
    place.report.conceal(content)
    return content
  } catch (error) {
    return fail(reasonOf(error))
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file'
  return code === 'EACCES' || code === 'EPERM' ? 'this user may not read it' : String(code ?? error)
}

/** Where in the file the reference is that begins at an index of the scalar's value; else where the scalar begins. */
function placeOf(scalar: Scalar, value: string, text: string, index: number): number {
  const [start = 0, end = 0] = scalar.range ?? []
  if (!value.startsWith('${', index)) return start
  // The n-th of the value is the n-th of what is written, however it is quoted.
  let offset = text.indexOf('${', start)
  for (let earlier = value.slice(0, index).split('${').length - 1; earlier > 0; earlier--) {
    offset = text.indexOf('${', offset + 1)
  }
  return offset === -1 || offset >= end ? start : offset
}
