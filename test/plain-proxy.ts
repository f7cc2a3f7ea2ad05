/** The rival of tables and soaks: a reverse proxy as one writes it in ten minutes, with everything handed on that came. */
import { Agent, createServer, request, type Server } from 'node:http'

/** A server that is yet to listen, in front of this port of 127.0.0.1, and the connections that it keeps. */
export function plainProxy(port: number): { readonly server: Server; readonly agent: Agent } {
  const agent = new Agent({ keepAlive: true })
  const server = createServer((incoming, response) => {
    const { method, url, headers } = incoming
    const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers) // an answer of a client has one
      answer.pipe(response)
      answer.on('close', () => answer.complete || response.destroy())
    })
    outgoing.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  return { server, agent }
}
