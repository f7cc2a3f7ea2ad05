#!/usr/bin/env node
/**
 * `npm run build`: what ships. JavaScript for Node 22.12 and newer in dist/, every package inside it, no sources, no maps, the bill of
 * all that, and the types of the contract; `npm pack ./dist` makes the package. Plain JavaScript, so that the Node of a small image can
 * run it; --no-types leaves out what only the authors of plugins need, --out=DIR writes elsewhere.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { writeBill } from './bill.js'
import { emitTypes, publicModules } from './types.js'

const root = fileURLToPath(new URL('../', import.meta.url))
const elsewhere = valueOf('out')
const out = elsewhere === undefined ? join(root, 'dist') : resolve(elsewhere)
const plugins = readdirSync(join(root, 'plugins'))

if (elsewhere === undefined) rmSync(out, { recursive: true, force: true })
else if (existsSync(out)) throw new Error(`${out} is there already`)
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [
    'core/main.ts',
    ...publicModules.map((name) => `core/${name}.ts`),
    ...plugins.map((name) => `plugins/${name}/index.ts`),
  ],
  outdir: out,
  outbase: root,
  bundle: true,
  // Plugins and core share their modules, as they do in the sources; what is shared lies in core/, from where paths are counted.
  splitting: true,
  chunkNames: 'core/[name]-[hash]',
  platform: 'node',
  format: 'esm',
  target: 'node22.12',
  alias: Object.fromEntries(publicModules.map((name) => [`postern/${name}`, `./core/${name}.ts`])),
  // Native bindings that nobody installs.
  external: ['pg-native'],
  plugins: [{ name: 'later', setup: loadLater }],
  // http-proxy-3 finds its passes by the names of their functions.
  keepNames: true,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  // Packages that are CommonJS ask for Node's own modules in its way.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);",
  },
  metafile: true,
  logLevel: 'warning',
})

const withTypes = !process.argv.includes('--no-types')
if (withTypes) emitTypes(join(out, 'types'))
mkdirSync(join(out, 'bin'))
copyFileSync(join(root, 'bin/compiled.js'), join(out, 'bin/compiled.js'))
copyFileSync(join(root, 'bin/packed.js'), join(out, 'bin/postern.js'))
// npm links it into folders of programs.
chmodSync(join(out, 'bin/postern.js'), 0o755)

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { name, version, description, license, engines, dependencies } = manifest
const exported = Object.fromEntries(
  publicModules.map((part) => [
    `./${part}`,
    { ...(withTypes ? { types: `./types/core/${part}.d.ts` } : {}), default: `./core/${part}.js` },
  ]),
)
const shipped = {
  name,
  version,
  description,
  license,
  type: 'module',
  bin: { postern: './bin/postern.js' },
  exports: { ...exported, './package.json': './package.json' },
  engines,
  // All that runs is inside; the types of options are made by this package's.
  ...(withTypes ? { dependencies: { 'json-schema-to-ts': dependencies['json-schema-to-ts'] } } : {}),
}
writeFileSync(join(out, 'package.json'), `${JSON.stringify(shipped, null, 2)}\n`)
for (const plugin of plugins) copyAssets(join('plugins', plugin))
cpSync(join(root, 'migrations'), join(out, 'migrations'), { recursive: true })
for (const file of ['LICENSE', 'README.md', 'gateway.yaml']) copyFileSync(join(root, file), join(out, file))

const bill = writeBill({ metafile, root, out, product: shipped })
// What the bill is made of, for whoever checks it.
const account = valueOf('metafile')
if (account) writeFileSync(account, JSON.stringify(metafile))

const bytes = Object.values(metafile.outputs).reduce((sum, { bytes: size }) => sum + size, 0)
process.stdout.write(
  `dist: ${Object.keys(metafile.outputs).length} files of JavaScript, ${(bytes / 2 ** 20).toFixed(2)} MiB, ${bill.length} packages\n`,
)

/** What stands behind `--name=`. */
function valueOf(name) {
  return process.argv.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3)
}

/** http-proxy-3 can listen by HTTP/2, which nobody asks of it here: 2 MiB and 4 ms for whoever starts. */
function loadLater({ onResolve, onLoad }) {
  onResolve({ filter: /^node:http2$/ }, ({ importer }) =>
    importer.includes('http-proxy-3') ? { path: 'http2', namespace: 'later' } : undefined,
  )
  onLoad({ filter: /.*/, namespace: 'later' }, () => ({
    contents: "exports.createSecureServer = (...words) => require('node:http2').createSecureServer(...words)",
  }))
}

/** What a plugin reads at run time: everything in its folder that is neither code nor words for people. */
function copyAssets(folder) {
  for (const entry of readdirSync(join(root, folder))) {
    const path = join(folder, entry)
    if (statSync(join(root, path)).isDirectory()) copyAssets(path)
    else if (!/\.(ts|md)$/.test(entry)) {
      mkdirSync(dirname(join(out, path)), { recursive: true })
      copyFileSync(join(root, path), join(out, path))
    }
  }
}
