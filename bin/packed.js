#!/usr/bin/env node
/**
 * Starts the package that `npm run build` makes, where it is bin/postern.js. Plain JavaScript, so that an old Node can read it and
 * say what is missing.
 */
import { readFileSync } from 'node:fs'
import { keepCompiled } from './compiled.js'

const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const needed = engines.node.replace('>=', '')
if (isOlder(process.versions.node, needed)) {
  console.error(`postern needs Node ${needed} or newer; this is ${process.versions.node}.`)
  process.exit(1)
}
keepCompiled()
await import('../core/main.js')

function isOlder(version, other) {
  const [major, minor] = version.split('.').map(Number)
  const [otherMajor, otherMinor] = other.split('.').map(Number)
  return major < otherMajor || (major === otherMajor && minor < otherMinor)
}
