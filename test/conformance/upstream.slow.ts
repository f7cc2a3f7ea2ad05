/** The answers that take their time; a second or so each. */
import { describe } from 'node:test'
import { slowUpstreamCases } from './upstream-cases.ts'
import { testAnswers } from './upstream-suite.ts'

describe('the table of slow answers', () => {
  testAnswers(slowUpstreamCases)
})
