/**
 * The load: a process of its own that sends one request after the other on each of its connections and reads each answer to
 * its end. Written on sockets, so that it costs less than what it measures. Prints one line of JSON.
 */
import { connect } from 'node:net'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    path: { type: 'string', default: '/v1/chat/completions' },
    requests: { type: 'string', default: '4000' },
    connections: { type: 'string', default: '32' },
    body: { type: 'string', default: '2048' },
  },
})
const total = Number(values.requests)
const request = requestOf(values.path, Number(values.body))
const latencies: number[] = []
let begun = 0
let errors = 0

const started = performance.now()
await Promise.all(Array.from({ length: Math.min(Number(values.connections), total) }, converse))
const seconds = (performance.now() - started) / 1000
latencies.sort((one, other) => one - other)
process.stdout.write(
  `${JSON.stringify({ requests: latencies.length, errors, seconds, p50: at(0.5), p99: at(0.99) })}\n`,
)

function at(share: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
}

/** One connection's requests. */
function converse(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(values.port), '127.0.0.1')
    socket.setNoDelay(true)
    let sentAt = 0
    let answer = ''
    const next = () => {
      if (begun >= total) return socket.end()
      begun++
      answer = ''
      sentAt = performance.now()
      socket.write(request)
    }
    socket.setEncoding('latin1')
    socket.on('connect', next)
    socket.on('data', (text: string) => {
      answer += text
      if (!isWhole(answer)) return
      latencies.push(performance.now() - sentAt)
      if (!answer.startsWith('HTTP/1.1 200')) errors++
      next()
    })
    socket.on('error', () => errors++)
    socket.on('close', () => resolve())
  })
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head === -1) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(answer.slice(0, head + 2))
  if (length) return answer.length >= head + 4 + Number(length[1])
  return answer.endsWith('0\r\n\r\n')
}

/** What an official SDK sends: its headers, and a body of one long message. */
function requestOf(path: string, size: number): Buffer {
  const message = { model: 'gpt-bench', stream: false, messages: [{ role: 'user', content: '' }] }
  message.messages[0]!.content = 'x'.repeat(Math.max(0, size - JSON.stringify(message).length))
  const body = JSON.stringify(message)
  const head = [
    `POST ${path} HTTP/1.1`,
    `host: 127.0.0.1:${values.port}`,
    'accept: application/json',
    'accept-encoding: gzip, deflate',
    'accept-language: *',
    'authorization: Bearer sk-0123456789012345678901234567890123456789',
    'content-type: application/json',
    'sec-fetch-mode: cors',
    'user-agent: OpenAI/JS 7.55.0',
    'x-stainless-arch: x64',
    'x-stainless-lang: js',
    'x-stainless-os: Linux',
    'x-stainless-package-version: 7.55.0',
    'x-stainless-retry-count: 0',
    'x-stainless-runtime: node',
    'x-stainless-runtime-version: v24.21.0',
    `content-length: ${body.length}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}
