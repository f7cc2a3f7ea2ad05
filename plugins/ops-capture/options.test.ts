import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { scene } from './scene.test.ts'

const failing = json(500, { error: { message: 'it broke' } })

describe('a gateway.yaml that ops-capture cannot do with', () => {
  test('refuses a file that cannot be, when it is loaded', async () => {
    await using it = await scene(failing)
    for (const file of [join(it.gw.file, 'errors.jsonl'), join(it.gw.file, '..')]) {
      const problems = await it.gw.reload({ plugins: ['openai', { 'ops-capture': { file } }] })
      assert.match(problems[0]?.message ?? '', /ops-capture cannot be set up: .* folder/)
    }
  })

  test('refuses sizes that hold nothing, with what to write', async () => {
    await using it = await scene(failing)
    for (const [options, cure] of [
      [{ max_size: '1KiB' }, /max_size must be 65536 bytes at least: write 64KiB/],
      [{ max_body: '10B' }, /max_body must be 256 bytes at least, or set bodies: false/],
    ] as const) {
      const problems = await it.gw.reload({ plugins: ['openai', { 'ops-capture': { file: it.file, ...options } }] })
      assert.match(problems[0]?.message ?? '', cure)
    }
  })

  test('refuses to keep records for less than an hour, with what to write', async () => {
    await using it = await scene(failing)
    const problems = await it.gw.reload({ plugins: [{ 'ops-capture': { file: it.file, keep_for: '5m' } }] })
    assert.match(problems[0]?.message ?? '', /keep_for must be an hour at least: write 1h/)
  })
})
