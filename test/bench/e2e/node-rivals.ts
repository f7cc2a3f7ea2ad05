/** The rivals that are Node, as their documents show them: a process of its own for each. NAME ORIGIN PORT FOLDER. */
import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createProxyServer } from 'http-proxy-3'
import { Pool, type Dispatcher } from 'undici'

const [name = '', origin = '', port = '', folder = ''] = process.argv.slice(2)
const servers: Record<string, () => unknown> = { 'http-proxy-3': proxied, undici: dispatched, fastify }
await servers[name]?.()

function proxied() {
  const agent = new Agent({ keepAlive: true })
  const proxy = createProxyServer({ target: origin, agent, changeOrigin: true })
  proxy.on('error', (error) => {
    throw error
  })
  return createServer((request, response) => proxy.web(request, response)).listen(Number(port), '127.0.0.1')
}

/** The shortest gateway by hand: the body is gathered, what comes back is written as it comes. */
function dispatched() {
  const pool = new Pool(origin, { connections: null })
  const pass = (request: IncomingMessage, response: ServerResponse, body: Buffer) => {
    const headers: Record<string, string | string[] | undefined> = { ...request.headers }
    for (const hop of ['host', 'connection', 'content-length']) delete headers[hop]
    const method = request.method as Dispatcher.HttpMethod // what came in is a method
    pool.dispatch({ path: request.url ?? '/', method, headers, body }, answered(response))
  }
  return createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => pass(request, response, parts.length === 1 ? parts[0]! : Buffer.concat(parts)))
  }).listen(Number(port), '127.0.0.1')
}

function answered(response: ServerResponse): Dispatcher.DispatchHandler {
  return {
    onRequestStart() {},
    onResponseStart(_controller, status, headers) {
      delete headers['connection']
      delete headers['keep-alive']
      response.writeHead(status, headers)
    },
    onResponseData(controller, part) {
      if (response.write(part)) return
      controller.pause()
      response.once('drain', () => controller.resume())
    },
    onResponseEnd() {
      response.end()
    },
    onResponseError(_controller, error) {
      throw error
    },
  }
}

async function fastify() {
  const require = createRequire(join(folder, 'package.json'))
  const server = require('fastify')()
  await server.register(require('@fastify/http-proxy'), { upstream: origin })
  await server.listen({ port: Number(port), host: '127.0.0.1' })
}
