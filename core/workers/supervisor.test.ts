/** The supervisor as an operator starts it; what becomes of workers under load is in test/slow/workers.slow.ts. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { GatewayProcess } from '../../test/slow/gateway-process.fixture.ts'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))

/** `postern run` with a gateway.yaml that cannot run: its exit code, and what it says. */
async function refused(yaml: string): Promise<{ code: number | null; said: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-workers-'))
  try {
    const file = join(folder, 'gateway.yaml')
    await writeFile(file, yaml)
    const child = execFile(process.execPath, [bin, 'run', '--config', file])
    let said = ''
    child.stderr?.on('data', (text) => (said += String(text)))
    const [code] = (await once(child, 'close')) as [number | null] // as Node has it
    return { code, said: said.replaceAll(folder, '') }
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('a supervisor', () => {
  test('starts its workers, is asked as one process is, and ends with them', async () => {
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gateway = await GatewayProcess.begin({
      workers: 2,
      plugins: ['openai'],
      upstreams: [{ name: 'a', provider: 'openai', url: upstream.url, key: 'k' }],
    })
    const { admin, workers } = gateway.lines.find(({ msg }) => msg === 'listening') ?? {}
    assert.equal(workers, 2)
    assert.equal(admin, gateway.adminUrl)
    for (let at = 0; at < 4; at++) assert.equal((await fetch(`${gateway.url}/v1/models`)).status, 200)
    for (const path of ['healthz', 'readyz', 'metrics', 'gates', 'configuration'])
      assert.equal((await fetch(`${gateway.adminUrl}/${path}`)).status, 200, path)
    const { code } = await gateway.stop()
    assert.equal(code, 0)
    const served = gateway.lines.filter(({ msg }) => msg === 'exchange')
    assert.deepEqual(new Set(served.map(({ worker }) => worker)), new Set([1, 2]))
  })

  test('says once what keeps its workers from serving', async () => {
    const { code, said } = await refused(
      "workers: 3\nlisten: '127.0.0.1:0'\nadmin: false\nplugins: [openai, { ops-capture: { file: /dev/null/errors.jsonl } }]\n",
    )
    assert.equal(code, 1)
    assert.match(said, /^\/gateway\.yaml:4:\d+ ops-capture cannot be set up: /)
    assert.equal(said.split('cannot be set up').length, 2)
  })

  test('says that another process listens where it shall', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    try {
      const { port } = other.address() as AddressInfo // TCP
      const { code, said } = await refused(`workers: 2\nlisten: '127.0.0.1:${port}'\nadmin: false\nplugins: [openai]\n`)
      assert.equal(code, 1)
      assert.equal(said, `postern: cannot listen on 127.0.0.1:${port}: another process listens there already\n`)
      const admin = await refused(
        `workers: 2\nlisten: '127.0.0.1:0'\nadmin: { listen: '127.0.0.1:${port}' }\nplugins: [openai]\n`,
      )
      assert.equal(admin.code, 1)
      assert.match(admin.said, /cannot listen on 127\.0\.0\.1:\d+: another process listens there already\n$/)
    } finally {
      other.close()
    }
  })

  test('is none where one worker is wanted: nothing is forked, and nothing is told of workers', async () => {
    await using gateway = await GatewayProcess.begin({ workers: 1, plugins: ['openai'] })
    assert.equal(gateway.lines.find(({ msg }) => msg === 'listening')?.workers, undefined)
    const told = (await (await fetch(`${gateway.adminUrl}/healthz`)).json()) as object // as it tells
    assert.ok(!('workers' in told))
    assert.doesNotMatch(await (await fetch(`${gateway.adminUrl}/metrics`)).text(), /worker/)
  })
})
