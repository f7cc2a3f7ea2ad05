import { applyPatch, deleteField, setField } from 'postern/plugin'
import { bench } from '../../test/bench.ts'

const request = (size: number) =>
  Buffer.from(
    JSON.stringify({
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'A long message, as they come. '.repeat(size / 30) }],
      temperature: 0.2,
      safety_identifier: 'user-1',
      stream: true,
    }),
  )
const edits = [setField('model', 'gpt-5'), deleteField('safety_identifier')]

/** The naive way: the whole body parsed, changed and spelt again. */
function parseAndSpell(bytes: Buffer): Buffer {
  const body = JSON.parse(bytes.toString()) as Record<string, unknown> // made above
  body.model = 'gpt-5'
  delete body.safety_identifier
  return Buffer.from(JSON.stringify(body))
}

for (const [name, size] of [
  ['2 KB', 2_000],
  ['100 KB', 100_000],
  ['1 MB', 1_000_000],
] as const) {
  const bytes = request(size)
  await bench(
    `model set and a field deleted in a request of ${name}`,
    {
      spliced: () => applyPatch(bytes, edits),
      'parsed and spelt again': () => parseAndSpell(bytes),
    },
    { 'parsed and spelt again': { atLeast: 2 } },
  )
}
