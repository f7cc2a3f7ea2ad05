/** Every way in which an upstream fails, for every API, as a stream and as a document: what the client gets, byte for byte. */
import { describe, test } from 'node:test'
import { check } from './check.ts'
import { lateShapes } from './late.ts'
import { networkShapes } from './network.ts'
import { toldShapes } from './told.ts'

for (const shape of [...networkShapes, ...lateShapes, ...toldShapes]) {
  describe(shape.name, () => {
    test('with nobody else to ask', (t) => check(t, shape, 'alone'))
    test('beside an upstream that is well', (t) => check(t, shape, 'beside'))
  })
}
