/** What a measured process tells the one that measures it. */

/** Tells the port, and the CPU time used so far, in µs, whenever it is asked. Ends with its parent. */
export function reportCpu(port: number): void {
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ cpu: user + system, rss: process.memoryUsage.rss() })
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ port })
}
