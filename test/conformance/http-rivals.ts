/** The servers that the tables are played against, each a reverse proxy in front of one upstream. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createProxyServer } from 'http-proxy-3'
import { plainProxy } from '../plain-proxy.ts'
import { portOf, wireGateway } from './http-gateway.ts'

export interface Rival {
  readonly name: string
  /** What a program says it is; null for what runs in this process. */
  readonly version: string | null
  /** Opens it in front of the upstream at this port. */
  open(upstream: number): Promise<Opened>
}

export interface Opened extends AsyncDisposable {
  readonly port: number
}

/** Postern first; nginx and HAProxy only where they are installed: `missing` has the names of those that are not. */
export function rivals(): { readonly here: readonly Rival[]; readonly missing: readonly string[] } {
  const programs = [
    { name: 'nginx', path: pathOf('nginx'), open: openNginx },
    { name: 'HAProxy', path: pathOf('haproxy'), open: openHaproxy },
  ]
  const here: Rival[] = [
    { name: 'Postern', version: null, open: openPostern },
    { name: 'node:http', version: null, open: openNode },
    { name: 'http-proxy-3', version: null, open: openHttpProxy },
  ]
  for (const { name, path, open } of programs)
    if (path !== null) here.push({ name, version: versionOf(path), open: (upstream) => open(path, upstream) })
  return { here, missing: programs.filter(({ path }) => path === null).map(({ name }) => name) }
}

async function openPostern(upstream: number): Promise<Opened> {
  const gw = await wireGateway(`http://127.0.0.1:${upstream}`, { timeouts: { headers: '300ms', idle: '300ms' } })
  return { port: portOf(gw), [Symbol.asyncDispose]: () => gw[Symbol.asyncDispose]() }
}

async function openNode(upstream: number): Promise<Opened> {
  const { server, agent } = plainProxy(upstream)
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

/**
 * The configurations of the page, at this port of the rival and this one of the upstream: what somebody writes who wants a reverse proxy
 * with connections that are kept, and time limits near those that Postern is given here. Everything else is as it comes.
 */
export const configurations: Readonly<Record<'nginx' | 'haproxy', (port: number, upstream: number) => string>> = {
  nginx: (port, upstream) => `http {
  upstream one { server 127.0.0.1:${upstream}; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://one;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 500ms;
    }
  }
}
`,
  haproxy: (port, upstream) => `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 500ms
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server one 127.0.0.1:${upstream}
`,
}

/** What nginx needs beside, so that it keeps to its folder and runs as whoever runs it. */
const openNginx = (program: string, upstream: number): Promise<Opened> =>
  openProgram(program, (port, folder) => {
    const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder};`)
    const here = `access_log off; ${places.join(' ')}`
    const file = configurations.nginx(port, upstream).replace('http {', `http { ${here}`)
    const around = `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log; events {}`
    return { file: `${around}\n${file}`, options: (path) => ['-p', folder, '-c', path] }
  })

const openHaproxy = (program: string, upstream: number): Promise<Opened> =>
  openProgram(program, (port) => ({
    file: configurations.haproxy(port, upstream),
    options: (path) => ['-f', path, '-db'],
  }))

/** Writes the configuration, starts the program, and waits until it listens. */
async function openProgram(
  program: string,
  configure: (port: number, folder: string) => { file: string; options: (path: string) => string[] },
): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), `postern-${basename(program)}-`))
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

/** Where a program is; null: nowhere. Debian keeps servers where only root looks. */
function pathOf(program: string): string | null {
  const paths = `${process.env.PATH ?? ''}${delimiter}/usr/sbin`.split(delimiter).map((folder) => join(folder, program))
  return paths.find((path) => existsSync(path)) ?? null
}

function versionOf(program: string): string {
  const { stdout, stderr } = spawnSync(program, ['-v'], { encoding: 'utf8' })
  return /\d+(?:\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'of no version'
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
