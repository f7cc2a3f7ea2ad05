/** The rival as a process of its own, in front of the port that it is told. */
import type { AddressInfo } from 'node:net'
import { reportCpu } from '../bench/measured.ts'
import { plainProxy } from '../plain-proxy.ts'

const { server } = plainProxy(Number(process.argv[2]))
// Whoever breaks a connection breaks nothing else.
server.on('clientError', (_error, socket) => socket.destroy())
server.listen(0, '127.0.0.1', () => reportCpu((server.address() as AddressInfo).port)) // TCP
