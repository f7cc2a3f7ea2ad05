/** The keys that gateway.yaml admits: each name once, each key once; only their SHA-256 is kept. */
import { hash } from 'node:crypto'
import { addressSet } from '../address.ts'
import type { Key } from '../access/key.ts'
import { isBroken, writtenAt, type Draft } from './check.ts'
import type { KeySettings } from './schema.ts'

/** Shorter ones can be guessed. */
const shortest = 16

/** Reports names and keys that are there twice, and keys that are too short to be kept secret. */
export function checkKeys(draft: Draft, list: readonly KeySettings[]): void {
  const { yaml, report } = draft
  const names = new Map<string, number>()
  const keys = new Map<string, string>()
  for (const [index, { name, key }] of list.entries()) {
    const path = ['keys', index] as const
    if (isBroken(draft, [...path, 'key'])) continue
    const offset = yaml.offset([...path, 'name'])
    const line = names.get(name)
    if (line === undefined) names.set(name, report.position(offset).line)
    else
      report.add(
        offset,
        `line ${line} has a key ${JSON.stringify(name)} already`,
        'Give each key a name of its own',
        'CONFIG_TWICE',
      )
    const text = key.reveal()
    if (text === '') continue
    const place = yaml.offset([...path, 'key'])
    const shown = writtenAt(draft, [...path, 'key']) ?? 'this key'
    if (text.length < shortest)
      report.add(
        place,
        `${shown} has less than ${shortest} characters: it can be guessed`,
        'Make one with openssl rand -hex 32',
      )
    const other = keys.get(text)
    if (other !== undefined)
      report.add(place, `${shown} is the key ${other} has already`, 'Give each caller a key of its own', 'CONFIG_TWICE')
    keys.set(text, name)
  }
}

/** By the SHA-256 of each, in hex; and a note on each that is left out because it is empty. */
export function readKeys(list: readonly KeySettings[]): { keys: ReadonlyMap<string, Key>; notes: readonly string[] } {
  const isLeftOut = ({ key }: KeySettings) => key.reveal() === ''
  return {
    keys: Object.freeze(
      new Map(list.filter((one) => !isLeftOut(one)).map((one) => [hash('sha256', one.key.reveal()), readKey(one)])),
    ),
    notes: list.filter(isLeftOut).map(({ name }) => `key ${name} is left out: it is empty`),
  }
}

function readKey({ name, group, concurrency, allow, deny, expires }: KeySettings): Key {
  return Object.freeze({
    principal: Object.freeze({
      id: name,
      name,
      keyId: null,
      userId: null,
      groupId: null,
      group: group ?? null,
      concurrency: concurrency ?? null,
      billing: 'none' as const,
      rateMultiplier: '1',
    }),
    status: 'active' as const,
    expiresAt: expires === undefined ? null : Date.parse(expires),
    isSpent: false,
    addresses: allow.length + deny.length > 0 ? { allow: addressSet(allow), deny: addressSet(deny) } : null,
    user: 'none' as const,
  })
}
