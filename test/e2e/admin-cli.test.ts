/** What operators do with users, groups and keys, as child processes on a real database. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { operator, postern } from '../../core/commands/admin.fixture.ts'
import { until } from '../../core/database/until.fixture.ts'
import { freshDatabase } from '../postgres.ts'

describe('postern users, groups and keys', () => {
  test('make a caller: a user, a group, and a key that is shown once and kept as a hash', async () => {
    await using op = await operator()
    assert.deepEqual(await op.json('users', 'add', 'ann@example.com', '--balance', '12.50'), { ok: true, id: 1 })
    assert.deepEqual(await op.json('groups', 'add', 'acme', '--multiplier', '1.5'), { ok: true, id: 1 })
    const made = await op.run([
      'keys',
      'add',
      'ann@example.com',
      '--group',
      'acme',
      '--name',
      'laptop',
      '--allow',
      '10.0.0.0/8',
    ])
    assert.equal(made.code, 0, made.err)
    const key = made.out.trim()
    assert.match(key, /^sk-[0-9a-f]{64}$/)
    const { rows } = await op.db.query('SELECT * FROM api_keys')
    assert.deepEqual(rows[0]?.['key_hash'], Buffer.from(hash('sha256', key), 'hex'))
    assert.ok(!JSON.stringify(rows).includes(key.slice(8)), 'the key itself is nowhere')
    const { keys } = (await op.json('keys', 'list')) as { keys: Record<string, unknown>[] }
    assert.deepEqual(
      [keys[0]?.['prefix'], keys[0]?.['user'], keys[0]?.['group'], keys[0]?.['ip_whitelist']],
      [key.slice(0, 8), 'ann@example.com', 'acme', ['10.0.0.0/8']],
    )
    const { users } = (await op.json('users', 'list')) as { users: Record<string, unknown>[] }
    assert.deepEqual([users[0]?.['balance'], users[0]?.['keys']], ['12.5000000000', 1])
  })

  test('take a key of one’s own from a file, the environment or the standard input, and refuse a weak one', async () => {
    await using op = await operator()
    await op.json('users', 'add', 'ann@example.com')
    const file = join(op.folder, 'key')
    await writeFile(file, 'my_own-key_0123456789\n')
    const ways: [string[], object][] = [
      [['--key-file', file], {}],
      [['--key-env', 'MINE'], { env: { MINE: 'my_own-key_from_env' } }],
      [['--key-stdin'], { input: 'my_own-key_from_stdin\n' }],
    ]
    for (const [words, more] of ways) {
      const { code, out, err } = await op.run(['keys', 'add', 'ann@example.com', ...words], more)
      assert.deepEqual([code, err], [0, ''])
      assert.doesNotMatch(out, /my_own/, 'whoever brings it knows it')
    }
    for (const [input, says] of [
      ['too-short', /16 characters at least/],
      ['not all of this is allowed!', /neither spaces/],
      ['not-all-of-this-is-allowed!', /made of A-Z, a-z, 0-9, _ and -/],
      ['', /there is nothing in it/],
      ['my_own-key_0123456789', /this key is in use, or was/],
    ] as const) {
      const { code, out, err } = await op.run(['keys', 'add', '1', '--key-stdin'], { input })
      assert.ok(code === 1 || code === 2, input)
      assert.match(err, says)
      if (input !== '') assert.ok(!(out + err).includes(input), 'it is not repeated')
    }
  })

  test('tell every sidecar of each change, with the hash of the key or `all`', async () => {
    await using op = await operator()
    const heard: (string | null)[] = []
    const end = await op.db.listen('access_changed', (payload) => void heard.push(payload))
    const next = async (...words: string[]) => {
      heard.length = 0
      const told = await op.json(...words)
      return { told, heard: () => heard }
    }
    await op.json('users', 'add', 'ann@example.com')
    await op.json('groups', 'add', 'acme')
    const made = await next('keys', 'add', '1')
    const digest = hash('sha256', String(made.told['key']))
    await until(() => heard.includes(digest))
    for (const words of [
      ['keys', 'disable', '1'],
      ['keys', 'enable', '1'],
      ['keys', 'set', '1', '--quota', '5'],
      ['users', 'set', '1', '--credit=-2.25'],
      ['users', 'disable', 'ann@example.com'],
      ['keys', 'remove', '1'],
    ]) {
      await next(...words)
      await until(() => heard.includes(digest))
    }
    await next('groups', 'set', 'acme', '--multiplier', '2')
    await until(() => heard.includes('all'))
    await end()
    const { rows } = await op.db.query<{ balance: string }>('SELECT balance FROM users')
    assert.equal(rows[0]?.balance, '-2.2500000000')
  })

  test('order groups all at once, or not at all', async () => {
    await using op = await operator()
    for (const name of ['a', 'b', 'c']) await op.json('groups', 'add', name)
    const order = async () => {
      const { groups } = (await op.json('groups', 'list')) as { groups: { name: string }[] }
      return groups.map(({ name }) => name).join('')
    }
    assert.deepEqual(await op.json('groups', 'order', 'c', 'a', 'b'), { ok: true, ordered: 3 })
    assert.equal(await order(), 'cab')
    const { code, err } = await op.run(['groups', 'order', 'b', 'nobody', 'a'])
    assert.deepEqual([code, err], [1, 'postern: there is no group nobody\n'])
    assert.equal(await order(), 'cab')
    await op.json('groups', 'order', 'c=30', 'a=20', 'b=10')
    assert.equal(await order(), 'bac')
  })

  test('say what is wrong with a call, and change nothing', async () => {
    await using op = await operator()
    await op.json('users', 'add', 'ann@example.com')
    const cases: [string[], number, RegExp][] = [
      [['users', 'add', 'ANN@example.com'], 1, /there is a user with this email already/],
      [['users', 'add', 'nobody'], 1, /"nobody" is no email address/],
      [['users', 'add'], 2, /EMAIL is missing\. Try: postern users --help/],
      [['users', 'add', 'a@b', 'c@d'], 2, /"c@d" is one word too many/],
      [['users', 'set', 'bob@example.com', '--name', 'x'], 1, /there is no user bob@example\.com/],
      [['users', 'set', '1'], 1, /nothing is to be changed/],
      [['users', 'set', '1', '--role', 'god'], 1, /the value is not allowed \(users_role_check\)/],
      [['users', 'set', '1', '--balance', '1e3'], 2, /--balance must be a number such as 12\.50/],
      [['users', 'set', '1', '--credit', '-5'], 2, /argument is ambiguous\. Try/],
      [['users', 'set', '1', '--credit', '5', '--name', 'x'], 2, /--credit stands alone/],
      [['users', 'lsit'], 2, /users has no command "lsit": list, add, set/],
      [['users'], 2, /Say what to do with users/],
      [['keys', 'add', '1', '--allow', '10.0.0.300'], 1, /"10\.0\.0\.300" is no address/],
      [['keys', 'add', '1', '--expires', 'soon'], 2, /--expires must be a date/],
      [['keys', 'add', '1', '--kee', 'x'], 2, /Unknown option '--kee'/],
      [['accounts', 'rest', 'x', '--for', '5'], 2, /--for must be a duration/],
      [['accounts', 'add', 'x'], 2, /--platform is missing/],
      [['accounts', 'add', 'x', '--platform', 'openai', '--url', 'ftp://x'], 1, /the address must begin with http/],
      [['groups', 'set', 'x', '--routes', '{"a": ["b"]}'], 2, /--routes must be models and lists of ids/],
    ]
    for (const [words, code, says] of cases) {
      const told = await op.run(words)
      assert.equal(told.code, code, words.join(' ') + told.err)
      assert.match(told.err, says)
      assert.equal(told.out, '')
    }
    const { code, out } = await op.run(['users', 'set', '7', '--name', 'x', '--json'])
    assert.equal(code, 1)
    assert.deepEqual(JSON.parse(out), { ok: false, code: 'NOT_FOUND', error: 'there is no user 7' })
  })

  test('say how they are called', async () => {
    const all = await postern(['accounts', '--help'])
    assert.equal(all.code, 0)
    for (const verb of ['list', 'add', 'set', 'disable', 'enable', 'rest', 'unrest', 'remove', 'reseal'])
      assert.match(all.out, new RegExp(`^  ${verb} `, 'm'))
    const one = await postern(['keys', 'add', '--help'])
    assert.equal(one.code, 0)
    assert.match(one.out, /^Usage: postern keys add USER \[options\]\n/)
    assert.match(one.out, /^ {2}--key-stdin +Read the key from the standard input$/m)
  })

  test('say when the database is not there, or not yet what they need', async () => {
    await using empty = await freshDatabase()
    const list = (url: string) => postern(['users', 'list', '--database', url])
    const early = await list(empty.url)
    assert.deepEqual([early.code, early.out], [1, ''])
    assert.match(early.err, /run postern migrate up/)
    const wrong = await list('mysql://x')
    assert.equal(wrong.code, 2)
    const folder = await mkdtemp(join(tmpdir(), 'postern-admin-'))
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, 'plugins: [openai]\n')
    const none = await postern(['users', 'list', '--config', file])
    assert.match(none.err, /names no database: add "database: postgres/)
    await rm(folder, { recursive: true })
  })
})
