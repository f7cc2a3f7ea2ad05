import { bench } from 'postern/testing'
import quill from './index.ts'

const [mount] = quill.mount?.({ as: 'quill', prefix: '', url: 'https://api.quill.example' }, []) ?? []
const event = Buffer.from(JSON.stringify({ word: '“once” '.repeat(1000), ink: { read: 1, written: 2 } }))
const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 }

await bench('ink of an event of 11 KB', {
  'found in its bytes': () => mount?.dialect.usage(event, usage),
  parsed: () => (JSON.parse(event.toString('utf8')) as { ink: object }).ink,
})
