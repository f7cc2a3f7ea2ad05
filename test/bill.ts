/** What dist/ says of the packages in it, held against esbuild's own account of what it has put there. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { allowedLicences, lockedPackages } from './licences.ts'

/** esbuild's account, as far as it is read here. */
export interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >
}

interface Bom {
  readonly bomFormat: string
  readonly serialNumber?: string
  readonly metadata: { readonly timestamp?: string }
  readonly components: readonly {
    readonly name: string
    readonly version: string
    readonly purl: string
    readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
    readonly licenses: readonly { readonly license?: { readonly id: string }; readonly expression?: string }[]
  }[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

/** Throws where the bill in `dist` is not that of the bundle. Returns how many packages there are. */
export function checkBill(root: string, dist: string, { outputs }: Metafile): number {
  const bundled = new Set<string>()
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const at = path.lastIndexOf('node_modules/')
      if (at === -1 || bytesInOutput === 0) continue
      const [first = '', second = ''] = path.slice(at + 'node_modules/'.length).split('/')
      const name = first.startsWith('@') ? `${first}/${second}` : first
      const manifest = readFileSync(join(root, path.slice(0, at), 'node_modules', name, 'package.json'), 'utf8')
      bundled.add(`${name} ${(JSON.parse(manifest) as { version: string }).version}`) // every package has one
    }
  }
  assert.ok(bundled.size > 30, `${bundled.size} packages`)
  const bom = JSON.parse(readFileSync(join(dist, 'sbom.cdx.json'), 'utf8')) as Bom // the build wrote it
  assert.deepEqual(new Set(bom.components.map(({ name, version }) => `${name} ${version}`)), bundled)
  assert.equal(bom.components.length, bundled.size, 'a package stands in the bill twice')
  assert.equal(bom.bomFormat, 'CycloneDX')
  assert.deepEqual([bom.serialNumber, bom.metadata.timestamp], [undefined, undefined], 'a build cannot be repeated')
  const refs = new Set(bom.dependencies.map(({ ref }) => ref))
  for (const { dependsOn } of bom.dependencies) for (const ref of dependsOn) assert.ok(refs.has(ref), ref)

  const notices = readFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), 'utf8')
  const locked = new Map(lockedPackages().map((one) => [`${one.name} ${one.version}`, one]))
  for (const { name, version, licenses, hashes, purl } of bom.components) {
    const licence = licenses[0]?.license?.id ?? licenses[0]?.expression ?? ''
    assert.ok(allowedLicences.has(licence), `${name} has the licence ${licence}: may that ship?`)
    assert.equal(locked.get(`${name} ${version}`)?.license, licence, `${name} and the lockfile`)
    assert.match(hashes?.[0]?.content ?? '', /^[0-9a-f]{128}$/, `${name} has no hash`)
    assert.ok(refs.has(purl), purl)
    const at = notices.indexOf(`\n${name} ${version}\nLicence: ${licence}\n`)
    assert.ok(at > 0, `${name} is not in the notices`)
    const text = notices.slice(at, notices.indexOf(`\n${'-'.repeat(80)}\n`, at + name.length + 120))
    assert.match(text, /permi|licen|copyright|warrant/i, `the notices have no text for ${name}`)
    assert.doesNotMatch(text, /has no file with the text/, `the notices have no text for ${name}`)
  }
  return bundled.size
}

/** One hash of all files of a folder, names included. */
export function hashOf(folder: string): string {
  const hash = createHash('sha256')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const path of files.map(({ parentPath, name }) => join(parentPath, name)).toSorted())
    hash.update(`${path.slice(folder.length)}\0`).update(readFileSync(path))
  return hash.digest('hex')
}
