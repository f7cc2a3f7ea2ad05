/** The rival as a process of its own, in front of the port that it is told. */
import type { AddressInfo } from 'node:net'
import { plainProxy } from '../plain-proxy.ts'

const { server } = plainProxy(Number(process.argv[2]))
// Whoever breaks a connection breaks nothing else.
server.on('clientError', (_error, socket) => socket.destroy())
server.listen(0, '127.0.0.1', () => reportCpu((server.address() as AddressInfo).port)) // TCP

/** Tells the port, and the CPU time used so far, in µs, whenever it is asked. Ends with its parent. */
function reportCpu(port: number): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ cpu: user + system })
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ port })
}
