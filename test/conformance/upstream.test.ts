/** Every case of the table of answers, through a running gateway: contained, and the next exchange is not touched. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { slowUpstreamCases, upstreamCases } from './upstream-cases.ts'
import { testAnswers } from './upstream-suite.ts'

describe('the table of answers', () => {
  test('has more than sixty cases, and each has a name of its own', () => {
    const names = [upstreamCases, slowUpstreamCases]
      .flatMap((subjects) => Object.values(subjects))
      .flatMap((cases) => cases.map(({ name }) => name))
    assert.ok(names.length >= 60, `${names.length}`)
    assert.equal(new Set(names).size, names.length)
  })

  testAnswers(upstreamCases)
})
