/** The addresses of the console on the admin listener. */
import { redactText, type PluginContext } from 'postern/plugin'
import { fileOf, pageOf, readMap, sendJson } from './answer.ts'
import { longestAside, wake } from './aside.ts'
import { errorsTold, errorSumsTold, errorTold, filterIn } from './errors.ts'
import { explanationOf } from './explain.ts'
import type { Room } from './room.ts'
import { sessionsTold } from './sessions.ts'
import { usageTold } from './usage.ts'

const files = [
  'console.css',
  'console.js',
  'draw.js',
  'panels.js',
  'errors.js',
  'configuration.js',
  'explanation.js',
] as const
/** Errors that are shown. */
const mostErrors = 100
const minute = 60_000

export interface PageSettings {
  readonly base: string
  /** Null where errors are not shown. */
  readonly errors: string | null
}

/** Adds them all. Rejects where a file of the page is missing. */
export async function addPages(context: PluginContext<unknown>, room: Room, { base, errors }: PageSettings) {
  const { trail, events, health, asides, uses } = room
  const { store, database, upstreams, log } = context
  const data = `${base}/data`

  context.page('GET', base, await pageOf(base), { isPublic: true })
  for (const name of files) context.page('GET', `${base}/${name}`, (await fileOf(name)).handle, { isPublic: true })

  context.page(
    'GET',
    '/explain/*',
    ({ url = '' }, response) => {
      const asked = idIn(url)
      const found = asked === null ? null : trail.find((id) => id === asked || redactText(id) === asked)
      if (found) sendJson(response, 200, explanationOf(found))
      else
        sendJson(response, 404, {
          error: 'no such exchange: its trail was kept until newer ones took its place, or never',
        })
    },
    { across: 'each' },
  )

  context.page('GET', `${data}/events`, ({ method }, response) => {
    if (method === 'HEAD') response.end()
    else if (!events.watch(response)) sendJson(response, 503, { error: 'too many pages look already' })
  })
  context.page('GET', `${data}/upstreams`, async (_request, response) =>
    sendJson(response, 200, { upstreams: await health.told(upstreams, asides, store) }),
  )
  context.page('GET', `${data}/sessions`, (_request, response) =>
    sendJson(response, 200, sessionsTold(trail.newest(Number.POSITIVE_INFINITY))),
  )
  context.page('GET', `${data}/usage`, async ({ url = '' }, response) => {
    const days = Number(new URLSearchParams(url.split('?', 2)[1]).get('days') ?? 7)
    if (!Number.isInteger(days) || days < 1 || days > 31) return sendJson(response, 400, { error: 'days is 1 to 31' })
    sendJson(response, 200, await usageTold(uses, database, days, Date.now()))
  })
  const places = { database, file: errors }
  const asked = (url = '') => filterIn(new URLSearchParams(url.split('?', 2)[1]), Date.now())
  context.page('GET', `${data}/errors`, async ({ url }, response) => {
    const filter = asked(url)
    if (!filter) return sendJson(response, 400, { error: 'days is 1 to 31, status a number' })
    sendJson(response, 200, await errorsTold(places, filter, mostErrors))
  })
  context.page('GET', `${data}/errors/sums`, async ({ url }, response) => {
    const filter = asked(url)
    if (!filter) return sendJson(response, 400, { error: 'days is 1 to 31, status a number' })
    sendJson(response, 200, await errorSumsTold(places, filter))
  })
  context.page('GET', `${data}/error`, async ({ url = '' }, response) => {
    const id = new URLSearchParams(url.split('?', 2)[1]).get('id') ?? ''
    const found = await errorTold(places, id)
    sendJson(response, found ? 200 : 404, found ?? { error: 'no such error: it has become too old, or never was' })
  })

  const isKnown = (name: string) => upstreams.some((upstream) => upstream.name === name) || health.names.includes(name)
  context.page(
    'POST',
    `${data}/rest`,
    async (request, response) => {
      const { upstream, minutes } = (await readMap(request)) ?? {}
      if (typeof upstream !== 'string' || !isKnown(upstream))
        return sendJson(response, 404, { error: 'no such upstream' })
      const ms = typeof minutes === 'number' ? minutes * minute : Number.NaN
      if (!(ms >= minute && ms <= longestAside)) return sendJson(response, 400, { error: 'minutes is 1 to 1440' })
      const isTold = await asides.put(upstream, ms, store)
      log.warn({ upstream, minutes, told: isTold }, 'an operator has set an upstream aside')
      sendJson(response, 200, { upstream, until: new Date(Date.now() + ms).toISOString(), told: isTold })
    },
    { across: 'each' },
  )
  context.page(
    'POST',
    `${data}/unrest`,
    async (request, response) => {
      const { upstream } = (await readMap(request)) ?? {}
      if (typeof upstream !== 'string' || !isKnown(upstream))
        return sendJson(response, 404, { error: 'no such upstream' })
      const isTold = await wake(upstream, asides, store)
      log.warn({ upstream, told: isTold }, 'an operator has ended the rests of an upstream')
      sendJson(response, 200, { upstream, until: null, told: isTold })
    },
    { across: 'each' },
  )
}

/** What stands behind `/explain/`; null where that is no percent-encoded text. */
function idIn(url: string): string | null {
  const [path = ''] = url.split('?', 1)
  try {
    return decodeURIComponent(path.slice('/explain/'.length))
  } catch {
    return null
  }
}
