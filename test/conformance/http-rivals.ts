/** The servers that the tables are played against, each a reverse proxy in front of one upstream. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, request, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createProxyServer } from 'http-proxy-3'
import { portOf, wireGateway } from './http-gateway.ts'

export interface Rival {
  readonly name: string
  /** Opens it in front of the upstream at this port. */
  open(upstream: number): Promise<Opened>
}

export interface Opened extends AsyncDisposable {
  readonly port: number
}

/** Postern first; nginx and HAProxy only where they are installed. */
export function rivals(): readonly Rival[] {
  return [
    { name: 'Postern', open: openPostern },
    { name: 'node:http', open: openNode },
    { name: 'http-proxy-3', open: openHttpProxy },
    ...(isInstalled('nginx') ? [{ name: 'nginx', open: openNginx }] : []),
    ...(isInstalled('haproxy') ? [{ name: 'HAProxy', open: openHaproxy }] : []),
  ]
}

async function openPostern(upstream: number): Promise<Opened> {
  const gw = await wireGateway(`http://127.0.0.1:${upstream}`, { timeouts: { headers: '300ms', idle: '300ms' } })
  return { port: portOf(gw), [Symbol.asyncDispose]: () => gw[Symbol.asyncDispose]() }
}

/** What one writes in ten minutes: a server, a client, and everything that came handed on. */
async function openNode(upstream: number): Promise<Opened> {
  const agent = new Agent({ keepAlive: true })
  const server = createServer((incoming, response) => {
    const { method, url, headers } = incoming
    const outgoing = request({ host: '127.0.0.1', port: upstream, method, path: url, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers) // an answer of a client has one
      answer.pipe(response)
      answer.on('close', () => answer.complete || response.destroy())
    })
    outgoing.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  return listening(server, () => agent.destroy())
}

async function openHttpProxy(upstream: number): Promise<Opened> {
  const agent = new Agent({ keepAlive: true })
  const proxy = createProxyServer({ target: { host: '127.0.0.1', port: upstream }, agent })
  proxy.on('error', (_error, _request, response) => {
    if ('writeHead' in response && !response.headersSent) response.writeHead(502).end()
    else response.destroy()
  })
  const server = createServer((incoming, response) => proxy.web(incoming, response))
  return listening(server, () => agent.destroy())
}

async function listening(server: Server, close: () => void): Promise<Opened> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    port,
    async [Symbol.asyncDispose]() {
      close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const openNginx = (upstream: number): Promise<Opened> =>
  openProgram('nginx', (port, folder) => {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${folder}/${kind};`,
    )
    const file = `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log; events {}
      http { access_log off; ${temporary.join(' ')}
        server { listen 127.0.0.1:${port};
          location / { proxy_pass http://127.0.0.1:${upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`
    return { file, options: (path) => ['-p', folder, '-c', path] }
  })

const openHaproxy = (upstream: number): Promise<Opened> =>
  openProgram('haproxy', (port) => {
    const file = `defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server one 127.0.0.1:${upstream}
`
    return { file, options: (path) => ['-f', path, '-db'] }
  })

/** Writes the configuration, starts the program, and waits until it listens. */
async function openProgram(
  program: string,
  configure: (port: number, folder: string) => { file: string; options: (path: string) => string[] },
): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), `postern-${program}-`))
  const port = await freePort()
  const path = join(folder, 'conf')
  const { file, options } = configure(port, folder)
  await writeFile(path, file)
  const child = spawn(program, options(path), { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const deadline = Date.now() + 5000
  while (!(await isListening(port))) {
    if (Date.now() > deadline || child.exitCode !== null) throw new Error(`${program} does not listen`)
    await sleep(20)
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true })
    },
  }
}

function isInstalled(program: string): boolean {
  return `${process.env.PATH ?? ''}${delimiter}/usr/sbin`.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program))
      return true
    } catch {
      return false
    }
  })
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  server.close()
  await once(server, 'close')
  return port
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
