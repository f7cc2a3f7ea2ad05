/**
 * The load: a process of its own that sends one request after the other on each of its connections and reads each answer to
 * its end. Written on sockets, so that it costs less than what it measures. Prints one line of JSON.
 */
import { connect } from 'node:net'
import { parseArgs } from 'node:util'
import { isWhole } from '../../core/commands/bench-client.ts'

/** What it prints: times in ms. */
export interface Load {
  readonly requests: number
  /** Answers that were no whole 200, and connections that broke. */
  readonly errors: number
  readonly bytes: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  /** To the first byte of the answer. */
  readonly firstP50: number
  readonly firstP99: number
}

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    path: { type: 'string', default: '/v1/chat/completions' },
    /** How many in all; not counted where `seconds` is given. */
    requests: { type: 'string', default: '4000' },
    /** No request begins later than this. */
    seconds: { type: 'string' },
    connections: { type: 'string', default: '32' },
    body: { type: 'string', default: '2048' },
    stream: { type: 'boolean', default: false },
    /** `{n}` in one is the number of the variant that is sent. */
    header: { type: 'string', multiple: true, default: [] },
    /** How many different requests take turns. */
    variants: { type: 'string', default: '1' },
    /** Each so many requests carry `x-bench-fail`, to which the first upstream answers 503. */
    'fail-every': { type: 'string', default: '0' },
  },
})
const total = values.seconds === undefined ? Number(values.requests) : Infinity
const failEvery = Number(values['fail-every'])
const credential = 'authorization: Bearer sk-0123456789012345678901234567890123456789'
const requests = Array.from({ length: Number(values.variants) }, (_, at) => {
  const headers = values.header.map((header) => header.replace('{n}', String(at)))
  return requestOf(values.path, Number(values.body), headers)
})
const failing = requestOf(values.path, Number(values.body), [...values.header, 'x-bench-fail: 1'])
const latencies: number[] = []
const firsts: number[] = []
let begun = 0
let errors = 0
let bytes = 0

const started = performance.now()
const until = started + Number(values.seconds ?? Infinity) * 1000
await Promise.all(Array.from({ length: Math.min(Number(values.connections), total) }, converse))
const seconds = (performance.now() - started) / 1000
const told: Load = {
  requests: latencies.length,
  errors,
  bytes,
  seconds,
  p50: at(latencies, 0.5),
  p99: at(latencies, 0.99),
  firstP50: at(firsts, 0.5),
  firstP99: at(firsts, 0.99),
}
process.stdout.write(`${JSON.stringify(told)}\n`)

function at(times: number[], share: number): number {
  times.sort((one, other) => one - other)
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
}

/** One connection's requests. */
function converse(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(values.port), '127.0.0.1')
    socket.setNoDelay(true)
    let sentAt = 0
    let answer = ''
    let isOpen = false
    const next = () => {
      isOpen = begun < total && performance.now() < until
      if (!isOpen) return socket.end()
      begun++
      answer = ''
      sentAt = performance.now()
      socket.write(failEvery > 0 && begun % failEvery === 0 ? failing : requests[begun % requests.length]!)
    }
    socket.setEncoding('latin1')
    socket.on('connect', next)
    socket.on('data', (text: string) => {
      if (answer === '') firsts.push(performance.now() - sentAt)
      answer += text
      if (!isWhole(answer)) return
      latencies.push(performance.now() - sentAt)
      bytes += answer.length
      if (!answer.startsWith('HTTP/1.1 200')) errors++
      next()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (isOpen || sentAt === 0) errors++
      resolve()
    })
  })
}

/** What an official SDK sends: its headers, and a body of one long message. */
function requestOf(path: string, size: number, more: readonly string[]): Buffer {
  const message = { model: 'gpt-bench', stream: values.stream, messages: [{ role: 'user', content: '' }] }
  message.messages[0]!.content = 'x'.repeat(Math.max(0, size - JSON.stringify(message).length))
  const body = JSON.stringify(message)
  const head = [
    `POST ${path} HTTP/1.1`,
    `host: 127.0.0.1:${values.port}`,
    'accept: application/json',
    'accept-encoding: gzip, deflate',
    'accept-language: *',
    ...(more.some((header) => header.startsWith('authorization:')) ? [] : [credential]),
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
    ...more,
    `content-length: ${body.length}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}
