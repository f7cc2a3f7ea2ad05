/** The rival: http-proxy-3 as its documents show it, with the keep-alive agent that they advise. */
import { Agent, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createProxyServer } from 'http-proxy-3'
import { reportCpu } from './measured.ts'

const proxy = createProxyServer({ target: process.argv[2], agent: new Agent({ keepAlive: true }), changeOrigin: true })
proxy.on('error', (error) => {
  throw error
})
const server = createServer((request, response) => proxy.web(request, response))
server.listen(0, '127.0.0.1', () => reportCpu((server.address() as AddressInfo).port)) // TCP
