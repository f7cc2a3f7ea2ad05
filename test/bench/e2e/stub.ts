/**
 * The upstream: answers with the same kilobyte of JSON as fast as it can, or with a stream of 50 events of 120 B, one each 10 ms.
 * A request with `x-bench-fail` gets 503 where the program was started with `fails`. nginx answers JSON where it is installed;
 * this file, run with a port, does what is left.
 */
import { spawnSync } from 'node:child_process'
import { createServer, type ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Program } from './processes.ts'

/** Whether the system has the program. */
export function has(program: string): boolean {
  return spawnSync(program, ['-v']).error === undefined
}

/** Events of a stream, and the time between two, in ms. */
export const events = 50
const pause = 10

const body = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  model: 'gpt-bench',
  choices: [{ index: 0, message: { role: 'assistant', content: 'y'.repeat(700) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 500, completion_tokens: 175, total_tokens: 675 },
})
const headers = {
  'openai-processing-ms': '12',
  'openai-version': '2020-10-01',
  'x-ratelimit-limit-requests': '10000',
  'x-ratelimit-remaining-requests': '9999',
  'x-request-id': 'req_0123456789',
}
const failure = JSON.stringify({ error: { message: 'overloaded', type: 'server_error' } })

/** The fastest one for what is asked. */
export function stub({ isStream, fails }: { isStream: boolean; fails: boolean }): Program {
  if (isStream || !has('nginx')) {
    return { words: [process.execPath, fileURLToPath(import.meta.url), '{port}', ...(fails ? ['fails'] : [])] }
  }
  const added = Object.entries(headers).map(([name, value]) => `add_header ${name} ${value};`)
  const location = `default_type application/json; ${added.join(' ')}
      ${fails ? `if ($http_x_bench_fail) { return 503 '${failure}'; }` : ''}
      return 200 '${body}';`
  return nginx('', location)
}

/** nginx with one process and one place. */
export function nginx(upstreams: string, location: string): Program {
  const configuration = `daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; client_max_body_size 0; client_body_buffer_size 256k;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path {folder}/${name};`).join(' ')}
  ${upstreams}
  server { listen 127.0.0.1:{port}; location / { ${location} } }
}
`
  return { words: ['nginx', '-e', 'stderr', '-c', '{folder}/nginx.conf'], files: { 'nginx.conf': configuration } }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(Number(process.argv[2]), process.argv[3] === 'fails')

function serve(port: number, fails: boolean): void {
  const server = createServer((request, response) => {
    let last = ''
    request.setEncoding('latin1').on('data', (text: string) => (last ||= text.slice(0, 60)))
    request.on('end', () => {
      if (fails && request.headers['x-bench-fail']) json(response, 503, failure)
      else if (last.includes('"stream":true')) stream(response)
      else json(response, 200, body)
    })
  })
  server.keepAliveTimeout = 60_000
  server.listen(port, '127.0.0.1')
}

function json(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'content-length': String(text.length) })
  response.end(text)
}

function stream(response: ServerResponse): void {
  response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
  const told = { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: '' } }] }
  told.choices[0]!.delta.content = 'z'.repeat(120 - 8 - JSON.stringify(told).length)
  const event = `data: ${JSON.stringify(told)}\n\n`
  let left = events
  const next = () => {
    response.write(event)
    if (--left > 0) return
    clearInterval(timer)
    response.end()
  }
  const timer = setInterval(next, pause)
  next()
}
