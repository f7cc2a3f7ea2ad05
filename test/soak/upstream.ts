/**
 * The upstream of these programs, a process of its own: gives each question its answer under each name it was started with, a port for
 * each, and keeps a ledger of what it has served. Its parent asks for that by IPC.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer, type WebSocket } from 'ws'
import { answerOf, type Fault, type Origin, type Question } from './question.ts'

/** One answer, as far as it went. */
export interface Served {
  readonly name: string
  readonly from: string
  /** The id of the question. */
  readonly ask: string
  readonly input: number
  readonly output: number
  /** Its last byte was handed to the system. */
  isWhole: boolean
}

const ledger: Served[] = []
const big = Buffer.alloc(2 ** 20, 'z')

const ports: Record<string, number> = {}
for (const from of process.argv.slice(2)) ports[from] = await open(from)
process.on('message', () => process.send?.(ledger))
process.on('disconnect', () => process.exit())
process.send?.(ports)

async function open(from: string): Promise<number> {
  const server = createServer((request, response) => {
    answer(from, request, response).catch(() => response.destroy())
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws) => converse(from, ws))
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await new Promise((resolve) => server.once('listening', resolve))
  return (server.address() as AddressInfo).port // a TCP server has one
}

async function answer(from: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') return void response.writeHead(200, { 'content-type': 'text/plain' }).end(big)
  const told = request.headers['x-soak']
  const chunks: Buffer[] = []
  const hash = createHash('sha256')
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (told === undefined) chunks.push(chunk)
    else hash.update(chunk)
  }
  const text = typeof told === 'string' ? told : null
  const question =
    text === null
      ? (JSON.parse(Buffer.concat(chunks).toString()) as { soak: Question }).soak // bodyOf() wrote it
      : (JSON.parse(text) as Question) // and the client of an upload this
  const { fault } = question
  if (fault !== null && fault in early) return early[fault]!(request, response)
  const { entry, origin } = enter(from, question)
  const parts = answerOf(question, origin, text === null ? '' : hash.digest('hex'))
  response.on('finish', () => (entry.isWhole = true))
  const type = question.stream ? 'text/event-stream' : 'application/json'
  response.writeHead(200, { 'content-type': type, 'request-id': origin.name })
  if (!question.stream && question.pause > 0) await sleep(question.pause)
  const last = Math.floor(parts.length / 2)
  for (const [at, part] of parts.entries()) {
    if (response.destroyed) return
    if (at === last && fault !== null) return late(question.stream || fault !== 'told' ? fault : 'cut', part, response)
    if (!response.write(part)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve))
    if (question.stream && question.pause > 0) await sleep(question.pause)
  }
  response.end()
}

function enter(from: string, { id, api, input, output }: Question): { entry: Served; origin: Origin } {
  const name = `${api === 'turn' ? 'resp' : 'req'}_${randomUUID()}`
  const entry = { name, from, ask: id, input, output, isWhole: false }
  ledger.push(entry)
  return { entry, origin: { from, name } }
}

type Act = (request: IncomingMessage, response: ServerResponse) => void

/** Before anything of an answer. */
const early: Partial<Record<Fault, Act>> = {
  reset: (request) => void request.socket.resetAndDestroy(),
  nonsense: (request) => void request.socket.end('nonsense\r\n\r\n'),
  busy: (_request, response) => error(response, 503, 'overloaded_error'),
  limited: (_request, response) => error(response, 429, 'rate_limit_error'),
}

function error(response: ServerResponse, status: number, type: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '1' })
  response.end(JSON.stringify({ type: 'error', error: { type, message: 'planned' } }))
}

/** In its midst: between two events, in the midst of one, or as an event. */
function late(fault: Fault, part: string, response: ServerResponse): void {
  if (fault === 'told') {
    response.end('event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"planned"}}\n\n')
    return
  }
  const more = fault === 'torn' ? part.slice(0, part.length / 2) : ''
  response.write(more, () => response.destroy())
  if (more === '') response.destroy()
}

function converse(from: string, ws: WebSocket): void {
  ws.on('error', () => {})
  ws.on('message', (data: Buffer) => {
    const { soak: question } = JSON.parse(data.toString()) as { soak: Question } // bodyOf() wrote it
    void turn(from, ws, question)
  })
}

async function turn(from: string, ws: WebSocket, question: Question): Promise<void> {
  const { entry, origin } = enter(from, question)
  const parts = answerOf(question, origin)
  for (const [at, part] of parts.entries()) {
    if (ws.readyState !== ws.OPEN) return
    if (question.fault !== null && at === Math.floor(parts.length / 2)) return ws.terminate()
    ws.send(part)
    await sleep(question.pause)
  }
  entry.isWhole = true
}
