import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { evictIdle, IdleList, type IdleNode } from './ws-idle.ts'

interface Node extends IdleNode<Node> {
  readonly name: number
  readonly since: number
}

const node = (name: number, since = name): Node => ({ name, since, next: null, previous: null })

function names(list: IdleList<Node>): number[] {
  const found: number[] = []
  for (let at = list.first; at !== null; at = at.next) found.push(at.name)
  return found
}

describe('the list of idle connections', () => {
  test('is an array in all but its costs, whatever is added and removed', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30)), (steps) => {
        const list = new IdleList<Node>()
        let model: Node[] = []
        for (const [name, step] of steps.entries()) {
          const gone = model[step]
          if (gone) {
            list.remove(gone)
            model = model.filter((other) => other !== gone)
            assert.deepEqual([gone.next, gone.previous], [null, null])
          } else {
            const added = node(name)
            list.push(added)
            model.push(added)
          }
          assert.equal(list.length, model.length)
          assert.deepEqual(
            names(list),
            model.map(({ name }) => name),
          )
        }
      }),
    )
  })
})

describe('the sweep over it', () => {
  const rows: [what: string, ages: number[], after: number, max: number, left: number[], why: string[]][] = [
    ['evicts nothing that is young and within bounds', [1, 2, 3], 1, 3, [0, 1, 2], []],
    ['evicts what is too old, wherever it stands', [5, 1, 5, 2, 5], 3, 9, [0, 2, 4], ['1 age', '3 age']],
    ['evicts the longest idle beyond the bound', [5, 5, 5, 5], 0, 2, [2, 3], ['0 surplus', '1 surplus']],
    ['counts what age has taken first', [1, 5, 5, 5], 3, 2, [2, 3], ['0 age', '1 surplus']],
    ['empties the list', [1, 1], 3, 0, [], ['0 age', '1 age']],
    ['has nothing to do', [], 3, 0, [], []],
  ]
  for (const [what, ages, after, max, left, why] of rows) {
    test(what, () => {
      const list = new IdleList<Node>()
      for (const [name, since] of ages.entries()) list.push(node(name, since))
      const evicted: string[] = []
      evictIdle(
        list,
        ({ since }) => since,
        after,
        max,
        (one, reason) => {
          list.remove(one)
          evicted.push(`${one.name} ${reason}`)
        },
      )
      assert.deepEqual(names(list), left)
      assert.deepEqual(evicted, why)
    })
  }
})
