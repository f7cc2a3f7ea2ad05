import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../../test/redis-server.ts'
import { freshRedis } from '../../test/redis.ts'
import { silentLog } from '../observe/log.ts'
import { openRedisStore } from './redis.ts'
import { closing } from './store.fixture.ts'
import { StoreDown } from './store.ts'

/** A server that speaks TLS only, with a certificate for 127.0.0.1 that it has signed itself. */
async function tlsRedis() {
  const folder = await mkdtemp(join(tmpdir(), 'postern-tls-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]
  await promisify(execFile)('openssl', [...request, ...subject])
  const port = await freePort()
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert, '--tls-auth-clients', 'no']
  const redis = await freshRedis({ arguments: ['--port', '0', '--tls-port', String(port), ...files] })
  return {
    url: `rediss://127.0.0.1:${port}`,
    ca: await readFile(cert),
    async [Symbol.asyncDispose]() {
      await redis[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

describe('a Redis behind TLS', () => {
  test('is spoken to where its certificate is trusted, by listeners as well', async () => {
    await using redis = await tlsRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000, tls: { ca: redis.ca } }))
    await store.set({ key: 'k', value: '1', ttl: 60_000 })
    assert.equal(await store.get('k'), '1')
    const heard = Promise.withResolvers<string>()
    await store.subscribe('c', heard.resolve)
    await store.publish('c', 'm')
    assert.equal(await heard.promise, 'm')
  })

  test('is not spoken to where nobody vouches for it', async () => {
    await using redis = await tlsRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    await assert.rejects(store.get('k'), (error) => error instanceof StoreDown && /self-signed/.test(error.message))
  })

  test('is not spoken to in the clear', async () => {
    await using redis = await tlsRedis()
    await using store = closing(openRedisStore(redis.url.replace('rediss', 'redis'), silentLog))
    await assert.rejects(store.get('k'), StoreDown)
  })
})
