import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { ReplayDialect, Said } from './provider.ts'
import { Conversation, ReplayBudget } from './turn-conversation.ts'

const roomy = 64 * 2 ** 20

/** A dialect in which every message and event is text: `text`, `item:text`, `bound:text` or `done:id:text,text`. */
const replay: ReplayDialect = {
  asked: (message) => message,
  item: (event) => itemOf(String(event)),
  completed(event) {
    const [, id, items = ''] = /^done:(\w+):?(.*)$/.exec(String(event)) ?? []
    const all = () => items.split(',').flatMap((text) => (text === '' ? [] : said(text)))
    return id === undefined ? null : { id, items: all }
  },
  anew: (message, before) => Buffer.from([...before, message].join(' ')),
}

const said = (text: string, isBound = false): Said => ({ bytes: Buffer.from(text), isBound })

function itemOf(event: string): Said | null {
  const [, kind, text] = /^(item|bound):(.*)$/s.exec(event) ?? []
  return text === undefined ? null : said(text, kind === 'bound')
}

/** One turn at the upstream `a`, unless another is named. */
function turn(it: Conversation, message: string, previous: string | null, events: readonly string[], upstream = 'a') {
  it.asks(replay, Buffer.from(message), previous, upstream, roomy)
  for (const event of events) it.hears(Buffer.from(event))
}

const anew = (it: Conversation, message: string, upstream = 'a') =>
  String(it.anew(replay, Buffer.from(message), upstream))

describe('a conversation', () => {
  test('is what was asked and answered, in its order', () => {
    const it = new Conversation(new ReplayBudget())
    turn(it, 'one', null, ['created', 'item:two', 'delta', 'item:three', 'done:r1:two,three'])
    turn(it, 'four', 'r1', ['done:r2:five'])
    assert.ok(it.knows('r2') && !it.knows('r1'))
    assert.equal(anew(it, 'six'), 'one two three four five six')
  })

  test('begins anew with a message that goes on with nothing', () => {
    const budget = new ReplayBudget()
    const it = new Conversation(budget)
    turn(it, 'one', null, ['item:two', 'done:r1'])
    turn(it, 'three', null, ['done:r2:four'])
    assert.equal(anew(it, 'five'), 'three four five')
    assert.equal(budget.used, 'threefour'.length)
  })

  test('stays as it was where a turn does not come to its end', () => {
    const budget = new ReplayBudget()
    const it = new Conversation(budget)
    turn(it, 'one', null, ['item:two', 'done:r1'])
    turn(it, 'lost', 'r1', ['item:half of it', 'failed'])
    assert.ok(it.knows('r1'))
    assert.equal(anew(it, 'three'), 'one two three')
    turn(it, 'three', 'r1', ['item:four', 'done:r2'])
    assert.equal(anew(it, 'five'), 'one two three four five')
    assert.equal(budget.used, 'onetwothreefour'.length, 'what was lost is not remembered')
  })

  test('leaves out for one upstream what only another can read', () => {
    const it = new Conversation(new ReplayBudget())
    turn(it, 'one', null, ['bound:secret', 'item:two', 'done:r1'])
    turn(it, 'three', 'r1', ['bound:other', 'done:r2'], 'b')
    assert.equal(anew(it, 'four'), 'one secret two three four')
    assert.equal(anew(it, 'four', 'b'), 'one two three other four')
    assert.equal(anew(it, 'four', 'c'), 'one two three four')
  })

  test('is not known any more where a turn goes on with what is not', () => {
    const budget = new ReplayBudget()
    const it = new Conversation(budget)
    turn(it, 'one', null, ['done:r1:two'])
    turn(it, 'three', 'foreign', ['item:four', 'done:r2'])
    assert.ok(!it.knows('r1') && !it.knows('r2') && !it.knows('foreign'))
    assert.equal(budget.used, 0)
  })

  test('of more than 8 MiB is not remembered, whichever part makes it so', () => {
    const [half, over] = ['x'.repeat(4 * 2 ** 20), 'y'.repeat(4 * 2 ** 20 + 1)]
    for (const [message, item] of [
      [half + over, 'short'],
      [half, over],
    ] as const) {
      const budget = new ReplayBudget()
      const it = new Conversation(budget)
      turn(it, message, null, [`item:${item}`, 'done:r1'])
      assert.ok(!it.knows('r1'))
      assert.equal(budget.used, 0)
      turn(it, half, null, ['done:r2'])
      turn(it, half, 'r2', ['done:r3'])
      assert.ok(it.knows('r3'), 'exactly so much is')
      turn(it, 'z', 'r3', ['done:r4'])
      assert.ok(!it.knows('r3') && !it.knows('r4'))
      assert.equal(budget.used, 0)
    }
  })

  test('is not remembered where all together would hold more than they may', () => {
    const budget = new ReplayBudget()
    const [one, two] = [new Conversation(budget), new Conversation(budget)]
    const ask = (it: Conversation, text: string, id: string) => {
      it.asks(replay, Buffer.from(text), null, 'a', 100)
      it.hears(Buffer.from(`done:${id}`))
    }
    ask(one, 'x'.repeat(60), 'r1')
    ask(two, 'x'.repeat(41), 'r2')
    assert.ok(one.knows('r1') && !two.knows('r2'))
    one.end()
    ask(two, 'x'.repeat(100), 'r3')
    assert.ok(two.knows('r3'))
    two.end()
    assert.equal(budget.used, 0)
  })

  test('holds copies: what the messages stood in can be let go', () => {
    const it = new Conversation(new ReplayBudget())
    const message = Buffer.from('one')
    it.asks(replay, message, null, 'a', roomy)
    it.hears(Buffer.from('done:r1'))
    message.fill('x')
    assert.equal(anew(it, 'two'), 'one two')
  })
})

test('whatever is asked and answered, the budget is what is held, and ends at nothing', () => {
  interface Model {
    readonly last: string
    readonly said: readonly string[]
  }
  const text = fc.stringMatching(/^[a-z]{1,12}$/)
  const turns = fc.record({
    session: fc.nat(3),
    message: text,
    goesOn: fc.constantFrom('last', 'nothing', 'foreign'),
    items: fc.array(text, { maxLength: 3 }),
    end: fc.constantFrom('completed', 'failed', 'closed', 'passed'),
  })
  fc.assert(
    fc.property(fc.array(turns, { maxLength: 60 }), (script) => {
      const budget = new ReplayBudget()
      const sockets = Array.from({ length: 4 }, () => new Conversation(budget))
      const models: (Model | null)[] = sockets.map(() => null)
      for (const [at, { session, message, goesOn, items, end }] of script.entries()) {
        const [it, model] = [sockets[session]!, models[session]!]
        const previous = goesOn === 'last' ? (model?.last ?? null) : goesOn === 'foreign' ? 'foreign' : null
        if (end === 'passed') {
          it.passes()
          it.hears(Buffer.from(`done:r${at}`))
        } else
          turn(it, message, previous, [
            ...items.map((item) => `item:${item}`),
            ...(end === 'completed' ? [`done:r${at}`] : []),
          ])
        if (end === 'closed') {
          it.end()
          models[session] = null
        } else if (end === 'completed') {
          const before = previous === null ? [] : previous === model?.last ? model.said : null
          models[session] = before && { last: `r${at}`, said: [...before, message, ...items] }
        }
        const now = models[session]
        if (now) assert.equal(anew(it, 'end'), [...now.said, 'end'].join(' '))
        else assert.ok(!it.knows(`r${at}`))
      }
      for (const it of sockets) it.passes()
      const held = models.flatMap((model) => model?.said ?? []).join('').length
      assert.equal(budget.used, held)
      for (const it of sockets) it.end()
      assert.equal(budget.used, 0)
    }),
    { numRuns: 500 },
  )
})
