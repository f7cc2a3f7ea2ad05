import { bench } from '../../test/bench.ts'
import { conversation, kindsOfConversation, sizes } from './conversations.fixture.ts'
import { scanObject } from './scan.ts'

for (const kind of kindsOfConversation) {
  for (const [size, length] of Object.entries(sizes)) {
    const bytes = conversation(kind, length)
    await bench(
      `the members of a body: ${kind}, ${size}`,
      {
        scanObject: () => scanObject(bytes),
        'JSON.parse': () => JSON.parse(bytes.toString()),
      },
      { 'JSON.parse': { atLeast: 2 } },
    )
  }
}
