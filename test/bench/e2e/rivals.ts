/** Who is measured, and how each is started before an upstream. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Program } from './processes.ts'
import { has, nginx } from './stub.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** What npm brings, into a folder of its own: never a dependency. */
const packages = { fastify: '5.12.8', '@fastify/http-proxy': '11.6.3', '@portkey-ai/gateway': '1.15.2' }
const folder = join(root, '.cache/bench-rivals')

/** Addresses that a rival passes requests on to. */
export interface Upstreams {
  readonly url: string
  /** Asked where the first one fails. */
  readonly spare?: string
}

export interface Rival {
  /** How it is told apart in tables. */
  readonly title: string
  program(upstreams: Upstreams): Program
  /** Why it cannot be had here; null where it can. */
  missing(): string | null
  /** What its requests need. */
  readonly headers?: (upstreams: Upstreams) => readonly string[]
  /** Whether it asks another upstream on a 503. */
  readonly failsOver?: true
}

export const rivals: Readonly<Record<string, Rival>> = {
  postern: {
    title: 'Postern, every plugin of the shipped file',
    program: (upstreams) => postern(upstreams, shipped),
    missing: () => null,
    failsOver: true,
  },
  'postern-bare': {
    title: 'Postern, its provider alone',
    program: (upstreams) => postern(upstreams, ['openai']),
    missing: () => null,
  },
  'http-proxy-3': ofNode('http-proxy-3 2.0.1, keep-alive', 'http-proxy-3'),
  undici: ofNode('node:http and undici 7 dispatch, by hand', 'undici'),
  fastify: ofNode(`@fastify/http-proxy ${packages['@fastify/http-proxy']}`, 'fastify', installed),
  portkey: {
    title: `@portkey-ai/gateway ${packages['@portkey-ai/gateway']}`,
    program: () => ({
      words: [
        process.execPath,
        join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js'),
        '--port={port}',
        '--headless',
      ],
      env: { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' },
    }),
    missing: installed,
    headers: ({ url }) => ['x-portkey-provider: openai', `x-portkey-custom-host: ${url}/v1`],
  },
  nginx: {
    title: 'nginx, one process',
    program: ({ url, spare }) =>
      nginx(
        `upstream u { server ${hostOf(url)} max_fails=0; ${spare ? `server ${hostOf(spare)} backup;` : ''} keepalive 512; }`,
        'proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; ' +
          'proxy_next_upstream error timeout http_503 non_idempotent;',
      ),
    missing: () => (has('nginx') ? null : 'it is not installed'),
    failsOver: true,
  },
  haproxy: {
    title: 'HAProxy, one thread',
    program: ({ url }) => ({
      words: ['haproxy', '-db', '-q', '-f', '{folder}/haproxy.cfg'],
      files: {
        'haproxy.cfg': `global
  nbthread 1
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server u ${hostOf(url)}
`,
      },
    }),
    missing: () => (has('haproxy') ? null : 'it is not installed'),
  },
}

/** The plugins of the shipped file, but the demo upstream. */
const shipped = [
  'security-headers',
  'console',
  'ip-rules: { deny: [203.0.113.0/24] }',
  'anthropic',
  'openai',
  'gemini',
  'sticky-session',
  'concurrency',
  // A share of failures that no upstream has in earnest, and that shall not end in rests.
  'failover: { attempts: 3, rests: { enabled: false }, budget: { enabled: false } }',
]

/** Postern as it ships: its command, its log on. `main` is the program, from the sources where absent. */
export function postern({ url, spare }: Upstreams, plugins: readonly string[] = shipped, main?: string): Program {
  const file = `listen: 127.0.0.1:{port}
admin: ${plugins.includes('console') ? '{ listen: 127.0.0.1:0 }' : 'false'}
log: { file: '{folder}/log/log.jsonl' }
upstreams:
  - { name: first, provider: openai, url: '${url}', key: sk-bench, priority: 1 }
${spare ? `  - { name: spare, provider: openai, url: '${spare}', key: sk-bench, priority: 2 }\n` : ''}plugins:
${plugins.map((line) => `  - ${line}\n`).join('')}`
  const words = [process.execPath, main ?? join(root, 'bin/postern.js'), 'run', '--config', '{folder}/gateway.yaml']
  // Beside gateway.yaml each piece of the log would be news of the folder that is watched.
  return { words, files: { 'gateway.yaml': file, 'log/log.jsonl': '' } }
}

/** A server of node-rivals.ts. */
function ofNode(title: string, name: string, missing: () => string | null = () => null): Rival {
  const file = fileURLToPath(new URL('node-rivals.ts', import.meta.url))
  return { title, missing, program: ({ url }) => ({ words: [process.execPath, file, name, url, '{port}', folder] }) }
}

/** Brings the packages where they are not there yet. */
function installed(): string | null {
  const manifest = JSON.stringify({ private: true, dependencies: packages })
  if (existsSync(join(folder, 'node_modules/@portkey-ai/gateway'))) return null
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), manifest)
  process.stderr.write(`rivals are installed into ${folder}\n`)
  const words = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts']
  const { status, stderr } = spawnSync('npm', words, { encoding: 'utf8', timeout: 300_000 })
  return status === 0 ? null : `npm could not install it: ${stderr.trim().split('\n').at(-1)}`
}

function hostOf(url: string): string {
  return new URL(url).host
}
