/** `postern users …` */
import { addBalance, addUser, listUsers, removeUser, setUser, type UserFields } from '../records/users.ts'
import { table } from './admin-print.ts'
import { isDecimal, Misuse, pageOf, paging, type Given, type Option, type Told, type Verb } from './admin-words.ts'

const fields: Readonly<Record<string, Option>> = {
  name: { value: 'TEXT', says: 'What the user is called' },
  role: { value: 'ROLE', says: 'user or admin' },
  balance: { value: 'USD', says: 'What there is to spend, such as 12.50' },
  concurrency: { value: 'N', says: 'Exchanges at the same time; 0: as many as come' },
  notes: { value: 'TEXT', says: 'For operators' },
}

function fieldsOf(given: Given): UserFields {
  return {
    username: given.text('name'),
    role: given.text('role'),
    balance: given.decimal('balance'),
    concurrency: given.whole('concurrency'),
    notes: given.text('notes'),
  }
}

const done = (id: number, what: string): Told => ({ json: { id }, lines: [`User ${id} ${what}.`] })

export const users: Readonly<Record<string, Verb>> = {
  list: {
    words: [],
    says: 'The users.',
    options: paging,
    async run({ db, given }) {
      const list = await listUsers(db.query, pageOf(given))
      const rows = list.map((user) => [
        user.id,
        user.email,
        user.role,
        user.status,
        user.balance,
        user.concurrency,
        user.keys,
      ])
      return {
        json: { users: list },
        lines: table(['id', 'email', 'role', 'status', 'balance', 'concurrency', 'keys'], rows),
      }
    },
  },
  add: {
    words: ['EMAIL'],
    says: 'Adds a user.',
    options: fields,
    run: async ({ db, given, words }) => done(await addUser(db, { email: words[0]!, ...fieldsOf(given) }), 'is there'),
  },
  set: {
    words: ['USER'],
    says: 'Changes what is given. A user is named by email or id.',
    options: {
      email: { value: 'EMAIL', says: 'Another address' },
      ...fields,
      credit: { value: 'USD', says: 'Adds to the balance; --credit=-5 takes away' },
    },
    async run({ db, given, words }) {
      const [which = ''] = words
      const credit = given.text('credit')
      if (credit !== undefined && !isDecimal(credit)) throw new Misuse('--credit must be a number such as 12.50.')
      const changes = { email: given.text('email'), ...fieldsOf(given) }
      if (credit === undefined) return done(await setUser(db, which, changes), 'is changed')
      if (Object.values(changes).some((value) => value !== undefined)) throw new Misuse('--credit stands alone.')
      return done(await addBalance(db, which, credit), 'has it')
    },
  },
  disable: {
    words: ['USER'],
    says: 'Its keys are refused from now on.',
    options: {},
    run: async ({ db, words }) => done(await setUser(db, words[0]!, { status: 'inactive' }), 'is disabled'),
  },
  enable: {
    words: ['USER'],
    says: 'Its keys count again.',
    options: {},
    run: async ({ db, words }) => done(await setUser(db, words[0]!, { status: 'active' }), 'is enabled'),
  },
  remove: {
    words: ['USER'],
    says: 'Removes a user and its keys; what was used stays on the books.',
    options: {},
    run: async ({ db, words }) => done(await removeUser(db, words[0]!), 'is removed'),
  },
}
