/** The compose file beside the image: it says the same as Dockerfile, gateway.yaml and the gateway's own deadlines. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { hardDeadline } from '../core/ending.ts'
import { parseDuration, parseListen } from '../core/config/formats.ts'
import { parseConfig } from '../core/config/load.ts'
import { render } from '../core/config/problems.ts'
import { pluginSource } from '../core/plugins.ts'
import { healthcheckOf, parseDockerfile, textOf, wordsOf } from './dockerfile.ts'
import { blocksOf } from './docs-blocks.ts'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8')
const folder = 'docs/examples/compose'
const text = read(`${folder}/compose.yaml`)
const file = read(`${folder}/postern/gateway.yaml`)
const image = parseDockerfile(read('Dockerfile')).at(-1)!
const { version } = JSON.parse(read('package.json')) as { version: string } // our own file

interface Service {
  readonly image: string
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly stop_grace_period?: string
  readonly read_only?: boolean
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
}

const { services, volumes } = parse(text) as {
  services: Readonly<Record<string, Service>>
  volumes: Readonly<Record<string, object>>
} // the keys are checked below
const postern = services['postern']!
const environment = postern.environment ?? {}

/** What compose knows of a service (https://docs.docker.com/reference/compose-file/services/), as far as it is used here. */
const serviceKeys = new Set([
  'cap_drop',
  'depends_on',
  'environment',
  'healthcheck',
  'image',
  'ports',
  'read_only',
  'restart',
  'security_opt',
  'stop_grace_period',
  'volumes',
])

async function settings() {
  const { config, problems } = await parseConfig(file, 'gateway.yaml', { plugins: pluginSource, env: environment })
  assert.deepEqual(problems.map(render), [])
  return config!.settings
}

describe('the compose file', () => {
  test('is what the documents show', () => {
    const blocks = new Set(blocksOf('docs/platform-engineer.md').map((block) => block.text))
    assert.ok(blocks.has(text), 'compose.yaml')
    assert.ok(blocks.has(file), 'gateway.yaml')
  })

  test('has keys that compose knows, and volumes that are declared', () => {
    const named = Object.values(services).flatMap((service) => {
      for (const key of Object.keys(service)) assert.ok(serviceKeys.has(key), key)
      return (service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '').filter((name) => !name.startsWith('.'))
    })
    assert.deepEqual(named.toSorted(), Object.keys(volumes).toSorted())
  })

  test('runs this version of the image, at the port it has', async () => {
    assert.equal(postern.image, `postern:${version}`)
    const port = textOf(image, 'EXPOSE')
    assert.deepEqual(postern.ports, [`127.0.0.1:${port}:${port}`])
    const place = parseListen((await settings()).listen)
    assert.ok(place && 'port' in place)
    assert.deepEqual([place.host, String(place.port)], ['0.0.0.0', port])
  })

  test("leaves the health check to the image, whose address is this file's too", async () => {
    assert.equal(postern.healthcheck, undefined)
    const { admin } = await settings()
    assert.ok(admin)
    assert.equal(admin.listen, healthcheckOf(image).url.host)
    for (const [name, { healthcheck }] of Object.entries(services))
      if (name !== 'postern') assert.equal(healthcheck?.test[0], 'CMD', name)
    assert.doesNotMatch(text, /curl/)
  })

  test('mounts the folder of the configuration, and where the image may write', () => {
    const config = wordsOf(image, 'CMD').at(-1) ?? ''
    const mounts = (postern.volumes ?? []).map((volume) => volume.split(':'))
    assert.deepEqual(mounts, [
      ['./postern', dirname(config), 'ro'],
      ['journal', textOf(image, 'VOLUME')],
    ])
    assert.equal(postern.read_only, true)
  })

  test('gives the gateway what its file asks the environment for, and no more', () => {
    const asked = new Set([...file.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name))
    assert.deepEqual(asked, new Set(Object.keys(environment)))
  })

  test('waits for the store and the database that the file names, and brings the schema up to date at the start', async () => {
    const { store, database, migrate } = await settings()
    const { hostname } = new URL(store.reveal())
    const place = new URL(database.reveal())
    assert.deepEqual([hostname, place.hostname], ['redis', 'postgres'])
    for (const name of [hostname, place.hostname]) {
      assert.deepEqual(postern.depends_on?.[name], { condition: 'service_healthy' })
      assert.ok(services[name]?.healthcheck, name)
    }
    const made = services['postgres']?.environment ?? {}
    assert.deepEqual([place.username, place.password], [made['POSTGRES_USER'], made['POSTGRES_PASSWORD']])
    assert.equal(place.pathname, `/${made['POSTGRES_USER']}`, 'without POSTGRES_DB it is named after its user')
    assert.equal(migrate, 'auto')
  })

  test('kills no later than the gateway would end by itself', async () => {
    const { limits } = await settings()
    assert.ok((parseDuration(postern.stop_grace_period ?? '') ?? 0) > limits.drain + hardDeadline)
  })
})
