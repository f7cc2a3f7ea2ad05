import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Shared } from './shared.ts'

describe('what is shared', () => {
  test('is opened for the first that asks and closed after the last that lets go', async () => {
    const shared = new Shared()
    const told: string[] = []
    const take = () =>
      shared.take(
        'k',
        () => told.push('open'),
        () => void told.push('close'),
      )
    assert.equal(await take(), await take())
    await shared.release('k')
    assert.deepEqual(told, ['open'])
    await shared.release('k')
    assert.deepEqual(told, ['open', 'close'])
    assert.equal(shared.size, 0)
    await take()
    assert.deepEqual(told, ['open', 'close', 'open'])
  })

  test('is opened anew after an opening that failed', async () => {
    const shared = new Shared()
    const failing = () => {
      throw new Error('no')
    }
    await assert.rejects(
      shared.take('k', failing, () => {}),
      /no/,
    )
    assert.equal(shared.size, 0)
    assert.equal(
      await shared.take(
        'k',
        () => 7,
        () => {},
      ),
      7,
    )
  })

  test('is not closed by letting go of what was never taken', async () => {
    await new Shared().release('nothing')
  })
})
