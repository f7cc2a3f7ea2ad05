/** Loaded into the gateway's process before Postern: says how much memory it has, after a collection where the parent wants one. */

/** In bytes, but for the number of handles. */
export interface Weight {
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  readonly handles: number
}

process.on('message', (word) => {
  if (word === 'weigh') globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  process.send?.({ rss, heapUsed, external, handles: process.getActiveResourcesInfo().length } satisfies Weight)
})
// Who listens keeps the process alive, and this must not.
process.channel?.unref()
// Nor may the gateway outlive the program that has started it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
