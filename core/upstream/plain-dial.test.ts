/** Connections as they are opened: TLS with its certificate checked, and given up without a trace. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createServer, getCACertificates, setDefaultCACertificates, TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { answer, ask, testPool } from './http1.fixture.ts'
import { plainDial } from './plain-dial.ts'

let folder = ''
let key: Buffer
let cert: Buffer

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-dial-'))
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  await promisify(execFile)('openssl', [...request, ...subject, '-keyout', keyFile, '-out', certFile])
  key = await readFile(keyFile)
  cert = await readFile(certFile)
})
after(() => rm(folder, { recursive: true }))

const opened = (origin: URL) =>
  new Promise<Error | Socket>((resolve) => plainDial(origin)((error, socket) => resolve(error ?? socket!)))

async function listening(server: Server): Promise<{ port: number } & AsyncDisposable> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return { port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) }
}

describe('a connection with TLS', () => {
  test('is refused where nobody vouches for the certificate', async () => {
    await using server = await listening(createServer({ key, cert }))
    const error = await opened(new URL(`https://localhost:${server.port}`))
    assert.equal((error as NodeJS.ErrnoException).code, 'DEPTH_ZERO_SELF_SIGNED_CERT')
  })

  test('carries exchanges, by name and by address, and the next one resumes its session', async () => {
    const resumed: boolean[] = []
    const tls = createServer({ key, cert, ALPNProtocols: ['http/1.1'] }, (socket) => {
      resumed.push(socket.isSessionReused())
      socket.on('error', () => {})
      socket.on('data', () => socket.end(answer('secret', 'connection: close')))
    })
    await using server = await listening(tls)
    const trusted = getCACertificates('default')
    setDefaultCACertificates([...trusted, cert.toString()])
    try {
      for (const host of ['localhost', '127.0.0.1']) {
        await using pool = testPool(new URL(`https://${host}:${server.port}`))
        for (let count = 0; count < 2; count++) assert.equal((await ask(pool).done).body, 'secret')
      }
    } finally {
      setDefaultCACertificates(trusted)
    }
    assert.deepEqual(resumed, [false, true, false, true])
  })

  test('is not begun with a server that does not speak it', async () => {
    await using server = await listening(
      createTcp((socket) =>
        socket
          .on('error', () => {})
          .resume()
          .end('HTTP/1.1 400 No\r\n\r\n'),
      ),
    )
    const error = await opened(new URL(`https://127.0.0.1:${server.port}`))
    assert.match((error as NodeJS.ErrnoException).code ?? '', /^(ERR_SSL_|ECONNRESET|EPROTO)/)
  })
})

test('a connection is told once, and one that was given up not at all', async () => {
  await using server = await listening(createTcp((socket) => socket.on('error', () => {}).resume()))
  const origin = new URL(`http://127.0.0.1:${server.port}`)
  let told = 0
  plainDial(origin)(() => void told++)()
  const socket = await opened(origin)
  assert.ok(!(socket instanceof Error) && !(socket instanceof TLSSocket))
  assert.equal(told, 0)
  socket.destroy()
  await once(socket, 'close')
})
