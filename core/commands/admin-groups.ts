/** `postern groups …` */
import { addGroup, listGroups, orderGroups, removeGroup, setGroup, type GroupFields } from '../records/groups.ts'
import { idOf } from '../records/find.ts'
import { table } from './admin-print.ts'
import { Misuse, pageOf, paging, type Given, type Option, type Told, type Verb } from './admin-words.ts'

const fields: Readonly<Record<string, Option>> = {
  description: { value: 'TEXT', says: 'What it is for' },
  platform: { value: 'NAME', says: 'Such as anthropic or openai' },
  billing: { value: 'KIND', says: 'standard: by the balance of the user; subscription: by a subscription' },
  multiplier: { value: 'N', says: 'What prices are multiplied with' },
  daily: { value: 'USD', says: 'What a subscription may use in a day; none: as much as it wants' },
  weekly: { value: 'USD', says: 'In a week' },
  monthly: { value: 'USD', says: 'In a month' },
  days: { value: 'N', says: 'For how many days a subscription is given' },
  routes: { value: 'JSON', says: 'Models and the ids of the accounts for them: {"gpt-5*": [1, 2]}; {} for none' },
}

function fieldsOf(given: Given): GroupFields {
  const routes = given.json('routes')
  if (routes !== undefined && !isRoutes(routes))
    throw new Misuse('--routes must be models and lists of ids, such as {"gpt-5*": [1, 2]}.')
  return {
    description: given.text('description'),
    platform: given.text('platform'),
    subscription_type: given.text('billing'),
    rate_multiplier: given.decimal('multiplier'),
    daily_limit_usd: given.decimalOrNone('daily'),
    weekly_limit_usd: given.decimalOrNone('weekly'),
    monthly_limit_usd: given.decimalOrNone('monthly'),
    default_validity_days: given.whole('days'),
    model_routing: routes,
    model_routing_enabled: routes && Object.keys(routes).length > 0,
  }
}

function isRoutes(value: unknown): value is Readonly<Record<string, readonly number[]>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every(
    (ids) => Array.isArray(ids) && ids.every((id) => Number.isSafeInteger(id) && id > 0),
  )
}

const done = (id: number, what: string): Told => ({ json: { id }, lines: [`Group ${id} ${what}.`] })

export const groups: Readonly<Record<string, Verb>> = {
  list: {
    words: [],
    says: 'The groups, in their order.',
    options: { limit: paging['limit']! },
    async run({ db, given }) {
      const list = await listGroups(db.query, pageOf(given))
      const rows = list.map((group) => [
        group.id,
        group.name,
        group.platform,
        group.status,
        group.subscription_type,
        group.rate_multiplier,
        group.sort_order,
        group.accounts,
        group.keys,
      ])
      const titles = ['id', 'name', 'platform', 'status', 'billing', 'multiplier', 'order', 'accounts', 'keys']
      return { json: { groups: list }, lines: table(titles, rows) }
    },
  },
  add: {
    words: ['NAME'],
    says: 'Adds a group.',
    options: fields,
    run: async ({ db, given, words }) => done(await addGroup(db, { name: words[0]!, ...fieldsOf(given) }), 'is there'),
  },
  set: {
    words: ['GROUP'],
    says: 'Changes what is given. A group is named by name or id.',
    options: { name: { value: 'NAME', says: 'Another name' }, ...fields },
    run: async ({ db, given, words }) =>
      done(await setGroup(db, words[0]!, { name: given.text('name'), ...fieldsOf(given) }), 'is changed'),
  },
  disable: {
    words: ['GROUP'],
    says: 'Keys call through it no longer.',
    options: {},
    run: async ({ db, words }) => done(await setGroup(db, words[0]!, { status: 'inactive' }), 'is disabled'),
  },
  enable: {
    words: ['GROUP'],
    says: 'Keys call through it again.',
    options: {},
    run: async ({ db, words }) => done(await setGroup(db, words[0]!, { status: 'active' }), 'is enabled'),
  },
  remove: {
    words: ['GROUP'],
    says: 'Removes a group that no key calls through. Its accounts then serve nobody until they are put into another one.',
    options: {},
    run: async ({ db, words }) => done(await removeGroup(db, words[0]!), 'is removed'),
  },
  order: {
    words: ['GROUP', '…'],
    says: 'Puts groups into this order, the first one first; or GROUP=PLACE for each. All of them, or none.',
    options: {},
    async run({ db, words }) {
      const places = []
      for (const [at, word] of words.entries()) {
        const [, name, place] = /^(.+)=(-?\d{1,9})$/.exec(word) ?? []
        places.push({ id: await idOf(db.query, 'group', name ?? word), sort_order: Number(place ?? (at + 1) * 10) })
      }
      const put = await orderGroups(db, places)
      return { json: { ordered: put }, lines: [`${put} ${put === 1 ? 'group is' : 'groups are'} in their places.`] }
    },
  },
}
