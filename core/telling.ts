/** Says what gateways that shall end are waiting for, as long as they have not ended. */
import type { Gateway } from './gateway.ts'
import type { Log } from './plugin.ts'
import { sentenceOf } from './waits.ts'

/** How often it is said, in ms: of a shutdown, for which somebody waits, and of gateways that a reload has replaced. */
export const tellEvery = { draining: 10_000, retired: 60_000 } as const

/** Begins to tell; returns what ends that. */
export function tellWaits(gateways: () => Iterable<Gateway>, every: number, log: Log): () => void {
  const timer = setInterval(() => {
    for (const gateway of gateways()) tell(gateway, log)
  }, every)
  timer.unref()
  return () => clearInterval(timer)
}

function tell({ config, waits, retiredAt }: Gateway, log: Log): void {
  const { exchanges, oldest, parts } = waits
  if (exchanges === 0 && parts.length === 0) return
  const words = exchanges > 0 ? oldest.map(sentenceOf) : parts
  const fields = {
    version: config.version,
    exchanges,
    waits: oldest,
    parts,
    ...(retiredAt === null ? {} : { retired_s: Math.round((Date.now() - retiredAt) / 1000) }),
  }
  log.warn(fields, `a gateway that shall end has not ended: ${words.join('; ')}`)
}
