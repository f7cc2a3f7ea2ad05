/**
 * Both ends of WebSockets, each a process of its own. `upstream PORT`: answers each message with a hundred events of 200 B. `load PORT PATH
 * SECONDS SOCKETS`: asks on so many sockets, each time when the answer before has ended, and prints what came.
 */
import { createServer } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'

/** What the load prints. */
export interface Messages {
  readonly messages: number
  readonly errors: number
  readonly seconds: number
}

const [role = '', port = '', path = '', seconds = '', sockets = ''] = process.argv.slice(2)
if (role === 'upstream') upstream()
else if (role === 'load') await load()

function upstream(): void {
  const delta = JSON.stringify({ type: 'response.output_text.delta', item_id: 'msg_1', delta: 'x'.repeat(150) })
  const last = JSON.stringify({ type: 'response.completed', response: { id: 'resp_1', usage: { input_tokens: 1 } } })
  const server = createServer()
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', () => {
      for (let at = 0; at < 99; at++) socket.send(delta)
      socket.send(last)
    })
  })
  server.listen(Number(port), '127.0.0.1')
}

async function load(): Promise<void> {
  const from = performance.now()
  const until = from + Number(seconds) * 1000
  let messages = 0
  let errors = 0
  const request = JSON.stringify({ type: 'response.create', model: 'm', input: 'x'.repeat(500) })
  const converse = () =>
    new Promise<void>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false })
      let isOver = false
      socket.on('open', () => socket.send(request))
      socket.on('message', (data: Buffer) => {
        messages++
        if (data.includes('"error"')) errors++
        if (!data.includes('response.completed')) return
        isOver = performance.now() > until
        if (isOver) socket.close()
        else socket.send(request)
      })
      socket.on('error', () => {})
      socket.on('close', () => {
        if (!isOver) errors++
        resolve()
      })
    })
  await Promise.all(Array.from({ length: Number(sockets) }, converse))
  const told: Messages = { messages, errors, seconds: (performance.now() - from) / 1000 }
  process.stdout.write(JSON.stringify(told))
}
