/** Loaded into the gateway's process before Postern: says how much memory it has, after a collection where the parent wants one. */

/** In bytes, but for the number of handles, and the time of the CPU so far in ms. */
export interface Weight {
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  readonly handles: number
  readonly cpu: number
}

process.on('message', (word) => {
  if (word === 'weigh') globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const handles = process.getActiveResourcesInfo().length
  process.send?.({ rss, heapUsed, external, handles, cpu: (user + system) / 1000 } satisfies Weight)
})
// Who listens keeps the process alive, and this must not.
process.channel?.unref()
// Nor may the gateway outlive the program that has started it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
