/** `postern accounts …` */
import {
  addAccount,
  disableAccount,
  enableAccount,
  listAccounts,
  removeAccount,
  resealAccounts,
  restAccount,
  setAccount,
  wakeAccount,
  type AccountFields,
  type AccountRecord,
  type Seal,
} from '../records/accounts.ts'
import { table } from './admin-print.ts'
import { sealerIn, type Sealer } from './admin-seal.ts'
import { readSecret, secretOptions } from './admin-secret.ts'
import { Misuse, pageOf, paging, type Call, type Given, type Option, type Told, type Verb } from './admin-words.ts'

const fields: Readonly<Record<string, Option>> = {
  type: { value: 'TYPE', says: 'What kind of account. Default: apikey' },
  url: { value: 'URL', says: 'Its base address; none: the one of the provider' },
  models: { value: 'LIST', says: 'Models it serves, with commas, such as gpt-5*,o3; none: every model' },
  groups: { value: 'LIST', says: 'The groups it is in, by names or ids; none: in no group' },
  concurrency: { value: 'N', says: 'Exchanges at the same time. Default: 3; 0: as many as come' },
  priority: { value: 'N', says: 'Lower is asked first. Default: 50' },
  multiplier: { value: 'N', says: 'What its prices are multiplied with' },
  expires: { value: 'DATE', says: 'Until when it is asked; none: for good' },
  extra: { value: 'JSON', says: 'Such as {"temp_unschedulable_enabled": true, "temp_unschedulable_rules": […]}' },
  notes: { value: 'TEXT', says: 'For operators' },
}

function fieldsOf(given: Given): AccountFields {
  const models = given.list('models')
  const extra = given.json('extra')
  if (extra !== undefined && (typeof extra !== 'object' || extra === null || Array.isArray(extra)))
    throw new Misuse('--extra must be an object.')
  return {
    type: given.text('type'),
    url: given.orNone('url'),
    models: models?.length === 0 ? null : models,
    groups: given.list('groups'),
    concurrency: given.whole('concurrency'),
    priority: given.whole('priority'),
    rate_multiplier: given.decimal('multiplier'),
    expires_at: given.dateOrNone('expires'),
    extra,
    notes: given.text('notes'),
  }
}

const done = (id: number, what: string): Told => ({ json: { id }, lines: [`Account ${id} ${what}.`] })

/** Null where no key was given. */
async function sealOf({ given, config }: Call): Promise<Seal | null> {
  const key = await readSecret(given)
  if (key === null) return null
  const sealer = sealerIn(await config())
  return (id) => sealer.seal(id, { key })
}

const act = (says: string, what: string, run: (call: Call, which: string) => Promise<number>): Verb => ({
  words: ['ACCOUNT'],
  says,
  options: {},
  run: async (call) => done(await run(call, call.words[0]!), what),
})

export const accounts: Readonly<Record<string, Verb>> = {
  list: {
    words: [],
    says: 'The accounts, and whether they can be asked.',
    options: paging,
    async run({ db, given }) {
      const list = await listAccounts(db.query, pageOf(given))
      const rows = list.map((one) => [
        one.id,
        one.name,
        one.platform,
        one.state,
        one.has_credentials ? 'sealed' : 'client’s own',
        one.groups,
        one.models ?? '*',
        one.priority,
        one.concurrency,
        one.last_used_at,
        reasonOf(one),
      ])
      const titles = [
        'id',
        'name',
        'platform',
        'state',
        'key',
        'groups',
        'models',
        'priority',
        'slots',
        'last used',
        'why',
      ]
      return { json: { accounts: list }, lines: table(titles, rows) }
    },
  },
  add: {
    words: ['NAME'],
    says: 'Adds an account. Without a key it passes on what the client sends.',
    options: { platform: { value: 'NAME', says: 'Such as openai or anthropic' }, ...secretOptions, ...fields },
    async run(call) {
      const { db, given, words } = call
      const about = { name: words[0]!, platform: given.needed('platform'), ...fieldsOf(given) }
      return done(await addAccount(db, about, await sealOf(call)), 'is there')
    },
  },
  set: {
    words: ['ACCOUNT'],
    says: 'Changes what is given. An account is named by name or id.',
    options: {
      name: { value: 'NAME', says: 'Another name' },
      platform: { value: 'NAME', says: 'Another platform' },
      ...secretOptions,
      ...fields,
    },
    async run(call) {
      const { db, given, words } = call
      const about = { name: given.text('name'), platform: given.text('platform'), ...fieldsOf(given) }
      return done(await setAccount(db, words[0]!, about, await sealOf(call)), 'is changed')
    },
  },
  disable: act('It is not asked any more.', 'is disabled', ({ db }, which) => disableAccount(db, which)),
  enable: act('It is asked again, whatever has set it aside.', 'is enabled', ({ db }, which) =>
    enableAccount(db, which),
  ),
  rest: {
    words: ['ACCOUNT'],
    says: 'Leaves it alone for a while.',
    options: {
      for: { value: 'DURATION', says: 'Such as 30s, 10m or 2h' },
      reason: { value: 'TEXT', says: 'For operators. Default: an operator' },
    },
    async run({ db, given, words }) {
      given.needed('for')
      return done(
        await restAccount(db, words[0]!, given.duration('for')!, given.text('reason') ?? 'an operator'),
        'rests',
      )
    },
  },
  unrest: act('Ends its rests, and an error for which it was set aside.', 'may be asked', ({ db }, which) =>
    wakeAccount(db, which),
  ),
  remove: act('Removes an account and its credentials.', 'is removed', ({ db }, which) => removeAccount(db, which)),
  reseal: {
    words: [],
    says: 'Seals all credentials with the first of `secrets`, so that the others can be taken away.',
    options: {},
    async run({ db, config }) {
      const sealer = sealerIn(await config())
      const anew = await resealAccounts(db, (id, sealed) => resealed(sealer, id, sealed))
      return { json: { resealed: anew }, lines: [`${anew} ${anew === 1 ? 'account' : 'accounts'} sealed anew.`] }
    },
  },
}

function resealed(sealer: Sealer, id: number, sealed: Buffer): Buffer | null {
  try {
    return sealer.isOld(sealed) ? sealer.seal(id, sealer.open(id, sealed)) : null
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`account ${id}: its credentials cannot be opened: ${reason}; nothing was changed`, { cause: error })
  }
}

function reasonOf(one: AccountRecord): string | null {
  if (one.state === 'error') return one.error_message
  if (one.state !== 'resting') return null
  const ends = [one.rate_limit_reset_at, one.overload_until, one.temp_unschedulable_until].map((end) =>
    Number(end ?? 0),
  )
  const until = Math.max(...ends)
  const why =
    until === ends[2] ? (one.temp_unschedulable_reason ?? 'paused') : until === ends[1] ? 'overload' : 'rate limit'
  return `${why}, until ${new Date(until).toISOString().replace(/\.\d+Z$/, 'Z')}`
}
