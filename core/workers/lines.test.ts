import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { wholeLines } from './lines.ts'

/** What is handed on of pieces, and whether the end was cut off. */
async function handedOn(pieces: readonly (string | Buffer)[]): Promise<{ taken: string[]; cuts: number }> {
  const stream = new PassThrough()
  const taken: string[] = []
  let cuts = 0
  wholeLines(
    stream,
    (lines) => taken.push(lines),
    () => cuts++,
  )
  const ended = once(stream, 'end')
  for (const piece of pieces) stream.write(piece)
  stream.end()
  await ended
  return { taken, cuts }
}

describe('lines of a process', () => {
  test('are handed on when they are whole, several at once', async () => {
    const { taken, cuts } = await handedOn(['{"a":', '1}\n{"b":2}\n{"c"', ':3}\n'])
    assert.deepEqual(taken, ['{"a":1}\n{"b":2}\n', '{"c":3}\n'])
    assert.equal(cuts, 0)
  })

  test('may be cut anywhere, in the midst of a character too', async () => {
    const text = '{"msg":"naïve – 日本語 🦀"}\n'.repeat(3)
    const bytes = Buffer.from(text)
    for (let at = 1; at < bytes.length; at++) {
      const { taken, cuts } = await handedOn([bytes.subarray(0, at), bytes.subarray(at)])
      assert.equal(taken.join(''), text)
      assert.equal(cuts, 0)
      for (const lines of taken) assert.ok(lines.endsWith('\n'))
    }
  })

  test('that were cut off by the end are not handed on, and that is told', async () => {
    assert.deepEqual(await handedOn(['whole\nhal']), { taken: ['whole\n'], cuts: 1 })
    assert.deepEqual(await handedOn([]), { taken: [], cuts: 0 })
  })

  test('without an end are let go of in pieces: nobody keeps them all', async () => {
    const { taken } = await handedOn([Buffer.alloc(2 ** 20, 'x'), 'rest\n'])
    assert.deepEqual(
      taken.map((lines) => lines.length),
      [2 ** 20 + 1, 5],
    )
  })
})
