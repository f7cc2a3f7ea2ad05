import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { until } from '../../test/redis.ts'
import { send, told, upstreams } from './console.fixture.ts'
import { errorsTold } from './errors.ts'

interface Told {
  readonly file: string | null
  readonly found: boolean
  readonly errors: readonly Record<string, unknown>[]
}

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'postern-errors-'))
  return { file: join(path, 'errors.jsonl'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const line = (exchange: string, more: object = {}) =>
  `${JSON.stringify({ at: '2026-01-01T00:00:00.000Z', exchange, ...more })}\n`

describe('errors', () => {
  test('are what ops-capture has kept, with the exchange that the trail explains', async () => {
    await using place = await folder()
    await using some = await upstreams({ a: json(500, { error: { message: 'out of order' } }) })
    await using gw = await gateway({
      plugins: [{ console: { errors: place.file } }, 'openai', { 'ops-capture': { file: place.file } }],
      upstreams: some.list,
    })
    assert.deepEqual(await told<Told>(gw, '/console/data/errors'), { file: place.file, found: false, errors: [] })
    const { id } = await send(gw)
    await until(async () => (await told<Told>(gw, '/console/data/errors')).errors.length === 1)
    const [error] = (await told<Told>(gw, '/console/data/errors')).errors
    assert.deepEqual([error?.exchange, error?.status, error?.phase, error?.upstream], [id, 500, 'upstream', 'a'])
    assert.match(String(error?.message), /out of order/)
    assert.equal((await told<{ exchange: string }>(gw, `/explain/${id}`)).exchange, id)
  })

  test('are not looked for where no file is named', async () => {
    await using gw = await gateway({ plugins: [{ console: { errors: '' } }] })
    assert.deepEqual(await told<Told>(gw, '/console/data/errors'), { file: null, found: false, errors: [] })
  })

  test('are the newest so many of a file of any size, the newest first', async () => {
    await using place = await folder()
    const long = 'x'.repeat(1000)
    await writeFile(place.file, Array.from({ length: 2000 }, (_, at) => line(`e${at}`, { message: long })).join(''))
    const { errors } = (await errorsTold(place.file, 3)) as Told // as errors.ts has it
    assert.deepEqual(
      errors.map(({ exchange }) => exchange),
      ['e1999', 'e1998', 'e1997'],
    )
    const all = (await errorsTold(place.file, 5000)) as Told // as above
    assert.ok(all.errors.length > 400 && all.errors.length < 600, 'what the end of the file holds')
  })

  test('pass over what is no line of ours', async () => {
    await using place = await folder()
    await writeFile(
      place.file,
      `${line('one')}null\n[]\n7\n{"at":7}\n{"torn":\n\n${line('two', { message: { no: 'text' }, status: '500' })}`,
    )
    const { errors } = (await errorsTold(place.file, 10)) as Told // as errors.ts has it
    assert.deepEqual(
      errors.map(({ exchange, message, status }) => [exchange, message, status]),
      [
        ['two', null, null],
        ['one', null, null],
      ],
    )
  })

  test('that cannot be read are an error', async () => {
    await using place = await folder()
    await assert.rejects(errorsTold(join(place.file, '..'), 1), { code: 'EISDIR' })
  })
})
