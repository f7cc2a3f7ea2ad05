/** What can be said of an upstream's host before anybody has looked it up: literal addresses are judged when the file is read. */
import { isIP } from 'node:net'
import { kindOf } from '../upstream/addresses.ts'
import { isBroken, writtenAt, type Draft } from './check.ts'
import type { Path } from './document.ts'

/**
 * Reports an address that is never dialled, and one in a spelling that says something else than it means: `0x7f.1`, `2130706433`
 * and the like are 127.0.0.1 to whoever connects, and no address to whoever reads the file.
 */
export function checkHost(draft: Draft, path: Path): void {
  const { yaml, report } = draft
  const text = yaml.value(path)
  if (typeof text !== 'string' || isBroken(draft, path) || !URL.canParse(text)) return
  const host = new URL(text).hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) === 0) return
  const shown = writtenAt(draft, path) ?? text
  const written = /^[a-z]+:\/\/([^/:?#]*)/i.exec(text)?.[1] ?? ''
  if (isIP(host) === 4 && written !== host)
    report.add(yaml.offset(path), `the host of ${shown} is ${host} in disguise`, `Write ${host}`)
  const { name, reach } = kindOf(host)
  if (reach === 'never')
    report.add(yaml.offset(path), `the host of ${shown} is ${name}: it is never asked`, cureFor(name))
}

function cureFor(name: string): string {
  return name.startsWith('unspecified')
    ? 'Write 127.0.0.1 for this machine'
    : 'Write the address of the API itself; links and metadata services of clouds are none'
}
