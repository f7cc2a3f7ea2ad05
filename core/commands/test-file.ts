/** gateway.test.yaml: requests, what the upstreams say, and what has to become of it. */
import type { JSONSchema } from 'json-schema-to-ts'
import { readFile } from 'node:fs/promises'
import { check } from '../config/check.ts'
import { readYaml, type Yaml } from '../config/document.ts'
import { Report } from '../config/report.ts'
import type { ConfigOf } from '../plugin.ts'

const texts = (description: string) =>
  ({ type: 'object', default: {}, description, additionalProperties: { type: 'string' } }) as const

const expectedHeaders = (description: string) =>
  ({ type: 'object', default: {}, description, additionalProperties: { type: ['string', 'null'] } }) as const

const fields = (description: string) =>
  ({ type: 'object', default: {}, description, additionalProperties: true }) as const

const answers = {
  description: 'What it says; a list: one answer after the other, the last one for all that follow.',
  anyOf: [{ type: 'object' }, { type: 'array', minItems: 1, items: { type: 'object' } }],
} as const satisfies JSONSchema

/** One answer of a scripted upstream. */
export const answerSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    status: { type: 'integer', minimum: 200, maximum: 599, default: 200, description: 'The status of the answer.' },
    headers: texts('Headers of the answer.'),
    text: { type: 'string', default: 'Hello', description: 'What an ordinary answer of the API says.' },
    body: {
      description:
        'The whole body in place of an ordinary answer: a text, or anything as JSON. Absent: an ordinary one.',
    },
    delay: { type: 'string', format: 'duration', default: '0s', description: 'How long it thinks first.' },
    cut: { type: 'integer', minimum: 0, description: 'The connection ends after so many events. Absent: never.' },
    hang: { type: 'boolean', default: false, description: 'Whether it never answers.' },
  },
} as const satisfies JSONSchema

/** The schema of the file. */
export const testSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['tests'],
  properties: {
    env: texts('What ${NAME} stands for in gateway.yaml; nothing of the real environment does.'),
    database: { type: 'string', description: 'A PostgreSQL for plugins that need one. Absent: there is none.' },
    tests: {
      type: 'array',
      minItems: 1,
      description: 'Each has a gateway of its own.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'request', 'expect'],
        properties: {
          name: { type: 'string', minLength: 1, description: 'What has to be so, as a sentence.' },
          request: {
            type: 'object',
            additionalProperties: false,
            required: ['path'],
            description: 'What the client sends.',
            properties: {
              method: { type: 'string', description: 'Absent: POST where there is a body, else GET.' },
              path: { type: 'string', pattern: '^/', description: 'With its query.' },
              headers: texts('Headers of the request.'),
              body: { description: 'Sent as JSON; a text is sent as it is. Absent: none.' },
            },
          },
          upstreams: {
            type: 'object',
            default: {},
            additionalProperties: answers,
            description: 'What each upstream says, by its name; an ordinary answer where it is not named.',
          },
          expect: {
            type: 'object',
            additionalProperties: false,
            minProperties: 1,
            description: 'What has to become of it.',
            properties: {
              status: { type: 'integer', description: 'What the client is told. Absent: not looked at.' },
              headers: expectedHeaders(
                "Headers of the client's answer: a text, /a pattern/, or null where there is none.",
              ),
              body: fields("Fields of the client's answer, by path (error.code); null where there is none."),
              text: { type: 'string', description: "What the client's answer has in it. Absent: not looked at." },
              asked: {
                type: 'array',
                items: { type: 'string' },
                description: 'The upstreams that were asked, in order. Absent: not looked at.',
              },
              sent: {
                type: 'object',
                additionalProperties: false,
                description: 'What the upstream that was asked last was sent. Absent: not looked at.',
                properties: {
                  path: { type: 'string', description: 'With its query. Absent: not looked at.' },
                  headers: expectedHeaders('Headers: a text, /a pattern/, or null where there is none.'),
                  body: fields('Fields of the body, by path; null where there is none.'),
                },
              },
            },
          },
        },
      },
    },
  },
} as const satisfies JSONSchema

export type TestFile = ConfigOf<typeof testSchema>
export type TestCase = TestFile['tests'][number]
export type ScriptedAnswer = ConfigOf<typeof answerSchema>

/** A file that was read, for saying where in it something failed. */
export interface ReadTests {
  readonly tests: TestFile | null
  readonly yaml: Yaml | null
  readonly report: Report
  /** What each upstream of each test says. */
  readonly answers: readonly ReadonlyMap<string, readonly ScriptedAnswer[]>[]
}

/** Reads it; what is wrong with it is in the report. */
export async function readTests(file: string): Promise<ReadTests> {
  const text = await readFile(file, 'utf8').catch(() => null)
  const report = new Report(file, text ?? '')
  const nothing = { tests: null, report, answers: [] }
  if (text === null) {
    report.add(0, 'this file cannot be read', 'Name the right one: postern test FILE', 'CONFIG_FILE')
    return { ...nothing, yaml: null }
  }
  const yaml = readYaml(text, report)
  if (!yaml) return { ...nothing, yaml }
  // Nothing of it comes from elsewhere.
  const none = { written: new Map(), texts: new Map(), broken: new Set<never>(), contents: [] }
  const draft = { yaml, report, references: none }
  const checked = await check(draft, testSchema, [], { root: 'the file', prefix: '' })
  if (!checked) return { ...nothing, yaml }
  const tests = checked.value as TestFile // as `check` has held it against its schema
  const answers: Map<string, readonly ScriptedAnswer[]>[] = []
  for (const [at, { upstreams }] of tests.tests.entries()) {
    const read = new Map<string, readonly ScriptedAnswer[]>()
    for (const [name, said] of Object.entries(upstreams)) {
      const path = ['tests', at, 'upstreams', name]
      const list: unknown[] = []
      for (const place of Array.isArray(said) ? said.map((_, index) => [...path, index]) : [path])
        list.push((await check(draft, answerSchema, place, { root: name, prefix: name }))?.value)
      read.set(name, list as ScriptedAnswer[]) // as above
    }
    answers.push(read)
  }
  return { tests: report.clean ? tests : null, yaml, report, answers }
}
