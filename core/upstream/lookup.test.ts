import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nameServer } from '../../test/dns-server.ts'
import { isLocalhost, Name, patience, remembered, systemResolve, type Resolve } from './lookup.ts'

describe('what is known of a name', () => {
  const question = (addresses: () => readonly string[]) => {
    const it = { now: 0, asked: 0 }
    const resolve: Resolve = (_name, done) => {
      it.asked++
      done(null, addresses())
    }
    const name = new Name('api.test', { allowsPrivate: false, resolve, now: () => it.now })
    const find = () =>
      new Promise<string>((resolve) => name.find((error, found) => resolve(error?.name ?? found.join())))
    return { it, name, find }
  }

  test('is good for thirty seconds', async () => {
    const { it, find, name } = question(() => ['1.1.1.1'])
    for (const [now, asked] of [
      [0, 1],
      [remembered - 1, 1],
      [remembered, 2],
      [2 * remembered - 1, 2],
    ] as const) {
      it.now = now
      assert.equal(await find(), '1.1.1.1')
      assert.equal(it.asked, asked, `at ${now} ms`)
    }
    name.forget()
    await find()
    assert.equal(it.asked, 3)
  })

  test('is nothing after an answer that failed the check', async () => {
    let addresses = ['1.1.1.1']
    const { it, find } = question(() => addresses)
    await find()
    it.now = remembered
    addresses = ['1.1.1.1', '10.0.0.1']
    assert.equal(await find(), 'AddressRefused')
    assert.equal(await find(), 'AddressRefused')
    assert.equal(it.asked, 3, 'a failure is not remembered')
  })

  test('is asked for again where a question has hung', async () => {
    let now = 0
    const answers: (() => void)[] = []
    const resolve: Resolve = (_name, done) => void answers.push(() => done(null, ['1.1.1.1']))
    const name = new Name('api.test', { allowsPrivate: false, resolve, now: () => now })
    const heard: string[] = []
    name.find(() => heard.push('first'))
    now = patience - 1
    name.find(() => heard.push('second'))
    now = patience
    name.find(() => heard.push('third'))
    assert.equal(answers.length, 2)
    answers[1]!()
    assert.deepEqual(heard, ['third'])
    answers[0]!()
    assert.deepEqual(heard, ['third', 'first', 'second'])
  })
})

test('the system knows localhost, and says of a name that nobody has that there is none', async () => {
  const ask = (name: string) =>
    new Promise<readonly string[] | string>((resolve) =>
      systemResolve(name, (error, addresses) => resolve(error ? String('code' in error && error.code) : addresses)),
    )
  const found = await ask('localhost')
  assert.ok(
    Array.isArray(found) && found.every((address) => address === '127.0.0.1' || address === '::1'),
    String(found),
  )
  assert.match(String(await ask('nobody.invalid')), /^(ENOTFOUND|EAI_AGAIN)$/)
})

test('a whole answer counts, of both families, from a real name server', async () => {
  await using names = await nameServer((name) =>
    name === 'mixed.test' ? ['1.1.1.1', 'fd00::1'] : ['1.1.1.1', '2606::1'],
  )
  const ask = (host: string) => {
    const name = new Name(host, { allowsPrivate: false, resolve: names.resolve })
    return new Promise<string>((resolve) => name.find((error, found) => resolve(error?.message ?? found.join())))
  }
  assert.equal(await ask('good.test'), '1.1.1.1,2606::1')
  assert.match(await ask('mixed.test'), /^mixed\.test leads to fd00::1, which is unique-local/)
})

test('localhost is a name and what is below it, and no name that only looks alike', () => {
  for (const name of ['localhost', 'LOCALHOST', 'localhost.', 'a.b.localhost'])
    assert.equal(isLocalhost(name), true, name)
  for (const name of ['localhost.test', 'xlocalhost', 'localhost..', 'local', ''])
    assert.equal(isLocalhost(name), false, name)
})
