/** Asks the admin listener of a gateway that runs, where its gateway.yaml says it is and with the key that it says. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { parseListen } from '../config/formats.ts'
import type { Config } from '../config/load.ts'
import { http } from '../http.ts'

export interface AdminAnswer {
  readonly status: number
  readonly value: unknown
  /** Which worker has answered; null where there is one process. */
  readonly worker: string | null
}

/** How long it may take, in ms. */
const patience = 10_000

/** Rejects with a sentence where there is no listener, or nobody answers there. A body is sent as POST. */
export async function askAdmin({ settings }: Config, path: string, body?: object): Promise<AdminAnswer> {
  const { admin } = settings
  if (!admin) throw new Error('gateway.yaml has admin: false: there is no listener to ask')
  const place = parseListen(admin.listen)
  if (!place || ('port' in place && place.port === 0))
    throw new Error(`admin.listen is ${admin.listen}: which port that is only the running process knows; name one`)
  const where = 'path' in place ? { socketPath: place.path } : { host: loopbackOf(place.host), port: place.port }
  const key = admin.key?.reveal() ?? ''
  const asking = http.request({
    ...where,
    path,
    method: body ? 'POST' : 'GET',
    headers: {
      host: 'localhost',
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
    },
    signal: AbortSignal.timeout(patience),
    agent: false,
  })
  asking.end(body && JSON.stringify(body))
  try {
    const [answer] = (await once(asking, 'response')) as [IncomingMessage] // as node:http has it
    let text = ''
    for await (const piece of answer.setEncoding('utf8')) text += String(piece)
    const worker = answer.headers['x-postern-worker']
    return {
      status: answer.statusCode ?? 0,
      value: JSON.parse(text) as unknown,
      worker: typeof worker === 'string' ? worker : null,
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`no gateway answers on ${admin.listen}: ${reason}`, { cause: error })
  }
}

/** Who listens on every address is asked on this machine's own. */
function loopbackOf(host: string | null): string {
  return host === null || host === '0.0.0.0' || host === '::' ? 'localhost' : host
}
