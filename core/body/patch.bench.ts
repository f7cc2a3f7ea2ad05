import { bench } from '../../test/bench.ts'
import { conversation, kindsOfConversation, sizes } from './conversations.fixture.ts'
import { applyPatch, deleteField, setField } from './patch.ts'
import { scanObject } from './scan.ts'

const edits = [setField('model', 'gpt-4o'), deleteField('max_output_tokens')]

/** The naive way. */
function reserialised(bytes: Buffer): Buffer {
  // What conversation() makes.
  const body = JSON.parse(bytes.toString()) as Record<string, unknown>
  body['model'] = 'gpt-4o'
  delete body['max_output_tokens']
  return Buffer.from(JSON.stringify(body))
}

for (const kind of kindsOfConversation) {
  for (const [size, length] of Object.entries(sizes)) {
    const bytes = conversation(kind, length)
    const members = scanObject(bytes)
    await bench(
      `one field set, one deleted: ${kind}, ${size}`,
      {
        applyPatch: () => applyPatch(bytes, edits),
        'applyPatch, members known': () => applyPatch(bytes, edits, members),
        'JSON.parse, edit, JSON.stringify': () => reserialised(bytes),
      },
      { 'JSON.parse, edit, JSON.stringify': { atLeast: 2 } },
    )
  }
}
