/** `postern keys …` */
import { idOf } from '../records/find.ts'
import { addKey, listKeys, removeKey, setKey, type KeyFields } from '../records/keys.ts'
import { table } from './admin-print.ts'
import { readSecret, secretOptions } from './admin-secret.ts'
import { pageOf, paging, type Given, type Option, type Told, type Verb } from './admin-words.ts'

const fields: Readonly<Record<string, Option>> = {
  name: { value: 'TEXT', says: 'What it is called' },
  group: { value: 'GROUP', says: 'Through which group it calls, by name or id; none: through none' },
  quota: { value: 'USD', says: 'What may be spent with it in all; 0: as much as the user has' },
  expires: { value: 'DATE', says: 'Until when it counts; none: for good' },
  allow: { value: 'LIST', says: 'Addresses and ranges it may be used from, with commas; none: from anywhere' },
  deny: { value: 'LIST', says: 'Addresses and ranges it may not be used from' },
}

function fieldsOf(given: Given): KeyFields {
  return {
    name: given.text('name'),
    group: given.orNone('group'),
    quota: given.decimal('quota'),
    expires_at: given.dateOrNone('expires'),
    ip_whitelist: given.list('allow'),
    ip_blacklist: given.list('deny'),
  }
}

const done = (id: number, what: string): Told => ({ json: { id }, lines: [`Key ${id} ${what}.`] })

export const keys: Readonly<Record<string, Verb>> = {
  list: {
    words: [],
    says: 'The keys, by the characters they begin with.',
    options: { user: { value: 'USER', says: 'Those of one user' }, ...paging },
    async run({ db, given }) {
      const user = given.text('user')
      const userId = user === undefined ? undefined : await idOf(db.query, 'user', user)
      const list = await listKeys(db.query, { ...pageOf(given), userId })
      const rows = list.map((key) => [
        key.id,
        `${key.prefix}…`,
        key.name,
        key.user,
        key.group,
        key.status,
        key.quota_used,
        key.quota,
        key.expires_at,
        key.last_used_at,
      ])
      const titles = ['id', 'key', 'name', 'user', 'group', 'status', 'used', 'quota', 'expires', 'last used']
      return { json: { keys: list }, lines: table(titles, rows) }
    },
  },
  add: {
    words: ['USER'],
    says: 'Makes a key for a user, and prints it: this once, it is kept nowhere. One of your own is read from a file, the environment or the standard input.',
    options: { ...fields, ...secretOptions },
    async run({ db, given, words }) {
      const custom = (await readSecret(given)) ?? undefined
      const { id, key } = await addKey(db, words[0]!, fieldsOf(given), custom)
      // Whoever has brought it knows it.
      if (custom !== undefined) return done(id, 'is there')
      return { json: { id, key }, lines: [key] }
    },
  },
  set: {
    words: ['ID'],
    says: 'Changes what is given.',
    options: fields,
    run: async ({ db, given, words }) => done(await setKey(db, words[0]!, fieldsOf(given)), 'is changed'),
  },
  disable: {
    words: ['ID'],
    says: 'It is refused from now on.',
    options: {},
    run: async ({ db, words }) => done(await setKey(db, words[0]!, { status: 'inactive' }), 'is disabled'),
  },
  enable: {
    words: ['ID'],
    says: 'It counts again.',
    options: {},
    run: async ({ db, words }) => done(await setKey(db, words[0]!, { status: 'active' }), 'is enabled'),
  },
  remove: {
    words: ['ID'],
    says: 'Takes it back for good.',
    options: {},
    run: async ({ db, words }) => done(await removeKey(db, words[0]!), 'is removed'),
  },
}
