import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  everyone,
  everyoneAsked,
  everyoneInTurn,
  firstAnswer,
  HookError,
  refine,
  type Ask,
  type Link,
  type Walk,
} from './chain.ts'
import type { Exchange } from './plugin.ts'

const exchange = walk() // what is noted on it matters to some tests, which make their own
function walk(): Exchange & Walk {
  const noted: Walk = { hook: null, isPending: false, answeredBy: null, said: [], attempt: 0 }
  return noted as Exchange & Walk // chains hand it on and note on it
}
const chainOf = <S, R>(...hooks: Ask<S, R>[]): Link<Ask<S, R>>[] =>
  hooks.map((hook, at) => ({ plugin: `plugin-${at}`, hook }))

type Yes = { yes: number }
const says = (number: number) => (): Yes => ({ yes: number })
const saysLater = (number: number) => async (): Promise<Yes> => ({ yes: number })
const silent = () => undefined
const silentLater = async () => undefined

describe('a phase nobody joined', () => {
  test('is null', () => {
    assert.equal(firstAnswer('onRequest', []), null)
    assert.equal(everyoneAsked('onUpstreamResult', []), null)
    assert.equal(refine('rankUpstreams', []), null)
    assert.equal(everyone('onEvent', [], assert.fail), null)
    assert.equal(everyoneInTurn('onEnd', [], assert.fail), null)
  })
})

describe('where the first answer stops', () => {
  test('later hooks are not asked', () => {
    const chain = firstAnswer<void, Yes>(
      'onRequest',
      chainOf<void, Yes | undefined>(silent, says(1), () => assert.fail('asked')),
    )
    assert.deepEqual(chain?.(exchange), { yes: 1 })
  })

  test('promises are waited for, in order', async () => {
    const chain = firstAnswer<void, Yes>('onRequest', [
      ...chainOf<void, Promise<undefined>>(silentLater),
      ...chainOf<void, Promise<Yes>>(saysLater(2)),
    ])
    assert.deepEqual(await chain?.(exchange), { yes: 2 })
  })

  test('no promise is made where no hook makes one', () => {
    assert.equal(firstAnswer<void, Yes>('onRequest', chainOf<void, undefined>(silent, silent))?.(exchange), undefined)
  })

  test('a foreign thenable counts as a promise', async () => {
    // eslint-disable-next-line unicorn/no-thenable -- that is the subject
    const foreign = { then: (resolve: (yes: Yes) => void) => resolve({ yes: 3 }) } as Promise<Yes>
    assert.deepEqual(
      await firstAnswer<void, Yes>(
        'onBody',
        chainOf<void, Promise<Yes>>(() => foreign),
      )?.(exchange),
      { yes: 3 },
    )
  })

  test('a hook that throws or rejects is named, with its phase', async () => {
    const failing = () => {
      throw new TypeError('boom')
    }
    const named = (error: unknown) =>
      error instanceof HookError &&
      error.plugin === 'plugin-0' &&
      error.phase === 'onRequest' &&
      /plugin-0 failed in onRequest: boom/.test(error.message)
    assert.throws(() => firstAnswer<void, Yes>('onRequest', chainOf<void, undefined>(failing))?.(exchange), named)
    await assert.rejects(
      async () =>
        firstAnswer<void, Yes>(
          'onRequest',
          chainOf<void, Promise<undefined>>(async () => failing()),
        )?.(exchange),
      named,
    )
  })
})

describe('where everyone is asked', () => {
  test('the first answer counts and nobody is left out', async () => {
    for (const [first, second] of [
      [says(1), says(2)],
      [saysLater(1), says(2)],
      [says(1), saysLater(2)],
    ] as const) {
      let asked = 0
      const last = () => void asked++
      const links = [...chainOf<void, Yes | Promise<Yes>>(first, second), ...chainOf<void, void>(last)]
      assert.deepEqual(await everyoneAsked<void, Yes>('onUpstreamResult', links)?.(exchange), { yes: 1 })
      assert.equal(asked, 1)
    }
  })
})

describe('where hooks refine', () => {
  test('each is given what the one before made of it', async () => {
    const add = (text: string) => (_: Exchange, list: string[]) => [...list, text]
    const addLater = (text: string) => async (_: Exchange, list: string[]) => [...list, text]
    const links = [
      ...chainOf<string[], string[] | Promise<string[]>>(add('a'), addLater('b')),
      ...chainOf<string[], undefined>(silent),
      ...chainOf<string[], string[]>(add('c')),
    ]
    assert.deepEqual(await refine<string[]>('rankUpstreams', links)?.(exchange, []), ['a', 'b', 'c'])
  })
})

describe('where everyone takes part', () => {
  test('what one throws is told and the others still have their turn', async () => {
    const told: string[] = []
    const failed = (_: Exchange, error: HookError) => void told.push(`${error.plugin}:${error.phase}`)
    const seen: string[] = []
    const failing = () => {
      throw new Error('boom')
    }
    const sees = (_: Exchange, text: string) => void seen.push(text)
    everyone<string>('onEvent', chainOf<string, void>(failing, sees), failed)?.(exchange, 'x')
    await everyoneInTurn<string>(
      'onEnd',
      chainOf<string, void | Promise<void>>(async () => failing(), failing, sees),
      failed,
    )?.(exchange, 'y')
    assert.deepEqual(seen, ['x', 'y'])
    assert.deepEqual(told, ['plugin-0:onEvent', 'plugin-0:onEnd', 'plugin-1:onEnd'])
  })
})

describe('what a chain notes of an exchange', () => {
  test('is who has answered: the first, with its phase', async () => {
    for (const second of [says(1), saysLater(1)]) {
      const noted = walk()
      await firstAnswer<void, Yes>('onBody', chainOf<void, Yes | undefined | Promise<Yes>>(silent, second))?.(noted)
      assert.deepEqual(noted.answeredBy, { plugin: 'plugin-1', phase: 'onBody' })
      await firstAnswer<void, Yes>('onUpstreamRequest', chainOf<void, Yes>(says(2)))?.(noted)
      assert.deepEqual(noted.answeredBy, { plugin: 'plugin-1', phase: 'onBody' })
    }
  })

  test('is who wants another attempt, which is no answer', async () => {
    const noted = { ...walk(), attempt: 2 }
    const wants = () => ({ kind: 'retry' })
    const links = chainOf<void, object | undefined>(silent, wants, wants)
    await everyoneAsked<void, object>('onUpstreamResult', links)?.(noted)
    assert.equal(noted.answeredBy, null)
    assert.deepEqual(noted.said, [
      { plugin: 'plugin-1', phase: 'onUpstreamResult', attempt: 2, what: 'retry', field: null },
    ])
  })

  test('is which hook has not come back, and that it has', async () => {
    const noted = walk()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const asked = everyoneInTurn<void>(
      'onEnd',
      chainOf<void, void | Promise<void>>(silent, () => promise),
      assert.fail,
    )?.(noted)
    assert.deepEqual([noted.hook, noted.isPending], [{ plugin: 'plugin-1', phase: 'onEnd' }, true])
    resolve(undefined)
    await asked
    assert.equal(noted.isPending, false)
    const failing = chainOf<void, Promise<Yes>>(() => Promise.reject(new Error('boom')))
    await assert.rejects(async () => firstAnswer<void, Yes>('onBody', failing)?.(noted))
    assert.equal(noted.isPending, false, 'nor where it rejects')
  })

  test('is bounded', () => {
    const noted = walk()
    const chain = firstAnswer<void, Yes>('onUpstreamRequest', chainOf<void, Yes>(says(1)))
    for (let at = 0; at < 100; at++) void chain?.(noted)
    assert.equal(noted.said.length, 64)
  })
})
