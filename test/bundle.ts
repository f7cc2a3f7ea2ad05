/** `npm run test:bundle`: what was built runs by itself, away from its sources, on the Node that runs this. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkBill, hashOf, type Metafile } from './bill.ts'
import { runBundle } from './bundle-runs.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'postern-bundle-'))
try {
  const account = join(folder, 'metafile.json')
  const build = () =>
    execFileSync(process.execPath, [join(root, 'bin/build.js'), `--metafile=${account}`], { stdio: 'inherit' })
  build()
  const dist = join(root, 'dist')
  const first = hashOf(dist)
  build()
  assert.equal(hashOf(dist), first, 'two builds of the same sources differ')
  const packages = checkBill(root, dist, JSON.parse(readFileSync(account, 'utf8')) as Metafile) // esbuild wrote it
  process.stdout.write(`${packages} packages are in the bill, each with its licence; two builds are the same\n`)
  cpSync(join(root, 'dist'), join(folder, 'app'), { recursive: true })
  await runBundle(process.execPath, join(folder, 'app'))
  process.stdout.write(`the bundle runs on Node ${process.versions.node}: 1 passed, 0 failed\n`)
} finally {
  rmSync(folder, { recursive: true })
}
