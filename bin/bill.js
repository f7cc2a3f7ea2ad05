/** The bill of what ships: dist/sbom.cdx.json (CycloneDX) and dist/THIRD-PARTY-LICENSES.txt. The same packages, the same bytes. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Writes both files into `out`, of exactly the packages that have bytes in what esbuild has written; `metafile` is its account.
 * Throws where a package says nothing of its licence. Returns the packages, by name and version.
 */
export function writeBill({ metafile, root, out, product }) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const packages = foldersIn(metafile)
    .map((folder) => readPackage(root, folder, lock[folder]))
    .toSorted((one, other) => compare(one.purl, other.purl))
  writeFileSync(join(out, 'sbom.cdx.json'), `${JSON.stringify(bom(product, packages), null, 2)}\n`)
  writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), licences(product, packages))
  return packages
}

/** The folders of packages that have bytes in an output: `node_modules/x`, `node_modules/@a/x/node_modules/y`. */
function foldersIn({ outputs }) {
  const folders = new Set()
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder)
    }
  }
  return [...folders]
}

function readPackage(root, folder, locked) {
  const {
    name,
    version,
    license,
    dependencies = {},
  } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
  if (typeof license !== 'string') throw new Error(`${folder} says nothing of its licence`)
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  return { name, version, license, purl, dependencies, integrity: locked?.integrity, text: licenceText(root, folder) }
}

/** What the package says of its licence in a file of its own, else at the end of its README. */
function licenceText(root, folder) {
  const files = readdirSync(join(root, folder)).toSorted(compare)
  const own = files.filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  if (own.length > 0) return own.map((file) => readFileSync(join(root, folder, file), 'utf8').trim()).join('\n\n')
  const readme = files.find((file) => /^readme/i.test(file))
  const text = readme === undefined ? '' : readFileSync(join(root, folder, readme), 'utf8')
  const section = /^#+ *licen[cs]e\b[^\n]*\n([^]*?)(?=^#|$(?![^]))/im.exec(text)?.[1]?.trim()
  return section ?? ''
}

/** https://cyclonedx.org/docs/1.6/json: without a serial number and a time, which would differ each time. */
function bom({ name, version, license }, packages) {
  const self = `pkg:npm/${name}@${version}`
  const refs = new Map(packages.map((one) => [one.name, one.purl]))
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'application',
        'bom-ref': self,
        name,
        version,
        purl: self,
        licenses: [{ license: { id: license } }],
      },
    },
    components: packages.map((one) => ({
      type: 'library',
      'bom-ref': one.purl,
      name: one.name,
      version: one.version,
      purl: one.purl,
      ...(one.integrity ? { hashes: [hashOf(one.integrity)] } : {}),
      licenses: [/ (AND|OR|WITH) /.test(one.license) ? { expression: one.license } : { license: { id: one.license } }],
    })),
    dependencies: [
      { ref: self, dependsOn: packages.map(({ purl }) => purl) },
      ...packages.map(({ purl, dependencies }) => ({
        ref: purl,
        dependsOn: Object.keys(dependencies)
          .flatMap((name) => refs.get(name) ?? [])
          .toSorted(compare),
      })),
    ],
  }
}

/** npm's `sha512-…` in base64, as CycloneDX writes it. */
function hashOf(integrity) {
  const [algorithm, digest] = integrity.split(' ')[0].split('-')
  return { alg: algorithm.toUpperCase().replace('SHA', 'SHA-'), content: Buffer.from(digest, 'base64').toString('hex') }
}

function licences({ name, version }, packages) {
  const line = '-'.repeat(80)
  const parts = packages.map((one) => {
    const text = one.text === '' ? 'The package has no file with the text of its licence.' : one.text
    return `${line}\n${one.name} ${one.version}\nLicence: ${one.license}\n${line}\n\n${text.replaceAll('\r\n', '\n')}\n`
  })
  return `${name} ${version} holds code of the packages below, under their licences.\n\n${parts.join('\n')}`
}

/** By code units, whatever the language of the machine. */
function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0
}
