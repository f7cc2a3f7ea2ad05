#!/usr/bin/env node
/**
 * Starts Postern on a Node that can run it: the caller's own where it is new enough, else the one that npm has installed
 * beside it. Plain JavaScript, so that an old Node can read it and say what is missing.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keepCompiled } from './compiled.js'

const [major, minor] = process.versions.node.split('.').map(Number)

// The first releases that run TypeScript sources as they are.
if (major > 24 || (major === 24 && minor >= 0) || (major === 22 && minor >= 18)) {
  keepCompiled()
  await import('../core/main.ts')
} else {
  const node = installed()
  if (!node) {
    console.error(
      `postern needs Node 22.18 or newer; this is ${process.versions.node}, and npm has installed no other. Run npm ci.`,
    )
    process.exit(1)
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => child.kill(signal))
  // Ctrl-C reaches the child by itself: a terminal sends it to both. Passed on, it would count as the second one.
  process.on('SIGINT', () => {})
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
}

function installed() {
  const require = createRequire(import.meta.url)
  for (const name of [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]) {
    try {
      const node = join(dirname(require.resolve(`${name}/package.json`)), 'bin', 'node')
      if (existsSync(node)) return node
    } catch {
      // not installed: the next name
    }
  }
  return null
}
