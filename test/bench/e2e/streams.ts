/**
 * Both ends of many idle streams, each a process of its own. `upstream PORT`: begins a stream for each request and says no more.
 * `client PORT COUNT ADDRESS`: opens so many from that address, reads the first event of each, prints how many it has, and waits for its end.
 */
import { createServer } from 'node:http'
import { connect } from 'node:net'

const [role = '', port = '', count = '', address = ''] = process.argv.slice(2)
if (role === 'upstream') upstream()
else if (role === 'client') await client(Number(count))

function upstream(): void {
  const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'z'.repeat(60) } }] })}\n\n`
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(event)
    })
  })
  server.listen(Number(port), '127.0.0.1', 8192)
}

async function client(wanted: number): Promise<void> {
  const body = JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'x'.repeat(1000) }] })
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n`
  const request = `${head}content-length: ${body.length}\r\n\r\n${body}`
  let begun = 0
  let open = 0
  let refused = 0
  const next = async () => {
    while (begun < wanted && refused === 0) {
      begun++
      if (await opened(request)) open++
      else refused++
    }
  }
  // So many at a time: the queue of a listener is short.
  await Promise.all(Array.from({ length: 64 }, next))
  process.stdout.write(`${open}\n`)
  process.on('disconnect', () => process.exit())
}

/** Whether an event has come. */
function opened(request: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: address })
    socket.setEncoding('latin1')
    socket.on('connect', () => socket.write(request))
    socket.on('data', (text: string) => {
      // Comments come while it waits, too.
      if (text.includes('zzz')) resolve(true)
    })
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(false))
  })
}
