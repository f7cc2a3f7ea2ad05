/** Plays the cases of `upstream-cases.ts`: an upstream that says them, and a client that listens as strictly as can be. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseRequests } from './http-parse.ts'
import { play, type Played } from './http-runner.ts'
import { end, reset, type Said, type UpstreamCase } from './upstream-case.ts'

/** An upstream that says what it is told to at the next request for `/v1/x`, and answers every other one properly. */
export interface HostileUpstream extends AsyncDisposable {
  readonly url: string
  /** What is said next. Resolves when it has been said, or nobody listened to the end. */
  say(said: readonly Said[]): Promise<void>
  /** Connections by the number of requests each has had, and whether the other side has let go of the hostile one. */
  readonly served: ReadonlyMap<Socket, number>
  readonly hostile: Socket | null
}

const proper = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{"probe":true}'

export async function hostileUpstream(): Promise<HostileUpstream> {
  const served = new Map<Socket, number>()
  let saying: { said: readonly Said[]; resolve: () => void } | null = null
  let hostile: Socket | null = null
  // Without noDelay, bytes behind an answer would leave with the next request at the earliest, as if they answered that.
  const server = createServer({ noDelay: true }, (socket) => {
    served.set(socket, 0)
    let bytes = ''
    socket.on('data', (chunk) => {
      bytes += chunk.toString('latin1')
      const { requests, isIncomplete } = parseRequests(bytes)
      if (isIncomplete) return
      bytes = ''
      served.set(socket, served.get(socket)! + requests.length)
      if (requests[0]?.target !== '/v1/x' || saying === null) return void socket.write(proper)
      hostile = socket
      const { said, resolve } = saying
      saying = null
      void utter(socket, said, resolve)
    })
    socket.on('error', () => {})
    socket.on('close', () => served.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    served,
    get hostile() {
      return hostile
    },
    say: (said) =>
      new Promise((resolve) => {
        saying = { said, resolve }
      }),
    async [Symbol.asyncDispose]() {
      for (const socket of served.keys()) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function utter(socket: Socket, said: readonly Said[], resolve: () => void): Promise<void> {
  for (const one of said) {
    if (socket.destroyed) break
    if (typeof one === 'number') await sleep(one)
    else if (one === end) socket.end()
    else if (one === reset) socket.resetAndDestroy()
    else socket.write(one, 'latin1')
  }
  resolve()
}

const requests: Readonly<Record<UpstreamCase['method'], string>> = {
  GET: 'GET /v1/x HTTP/1.1\r\nhost: gate\r\n\r\n',
  HEAD: 'HEAD /v1/x HTTP/1.1\r\nhost: gate\r\n\r\n',
  POST: 'POST /v1/x HTTP/1.1\r\nhost: gate\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
}

/** How long a client waits for the next byte, in ms: longer than any time limit of the gateway under test. */
const patience = 1600

const probing = 'GET /v1/probe HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n'

/** Plays one case through the gateway at `port`, then sends another request; says what is not as it should be. */
export async function playAnswer(
  port: number,
  upstream: HostileUpstream,
  one: UpstreamCase,
): Promise<readonly string[]> {
  const said = upstream.say(one.says)
  const methods = [one.method]
  const played = await play(port, [requests[one.method]], { silence: patience, ends: false, answers: 1, methods })
  const { hostile } = upstream
  const asked = hostile === null ? 0 : upstream.served.get(hostile)
  // What is said behind the answer finds the connection idle.
  if (!isCut(played) && one.says.some((piece) => typeof piece === 'string')) await Promise.race([said, sleep(100)])
  const probe = await play(port, [probing], { silence: patience, ends: false, answers: 1, methods: ['GET'] })
  const found = differencesOf(one, played)
  const [answer] = probe.answers
  if (answer?.status !== 200 || answer.body !== '{"probe":true}')
    found.push(`the next client heard ${answer?.status ?? 'nothing'} ${answer?.body.slice(0, 40) ?? ''}`)
  if (one.isSpent && hostile !== null && asked !== undefined && (upstream.served.get(hostile) ?? 0) > asked)
    found.push('the connection served another exchange')
  return found
}

function isCut({ answers }: Played): boolean {
  return answers.length === 0
}

function differencesOf({ expect }: UpstreamCase, played: Played): string[] {
  const { answers, rest, hangs, isClosed } = played
  const [answer] = answers
  const found: string[] = []
  if (hangs) found.push('the client waits for ever')
  if (answers.length > 1) found.push('the client heard more answers than it asked for')
  if (rest === 'garbage') found.push('the client heard what is no HTTP')
  if (!answer) {
    if (!expect.cut) found.push(`the client heard ${rest} of an answer instead of ${expect.whole?.join(' or ')}`)
    else if (!isClosed) found.push('the answer breaks off, and the connection stays')
    return found
  }
  if (!expect.whole?.includes(answer.status))
    found.push(`the client heard ${answer.status} instead of ${expect.whole?.join(' or ')}`)
  if (expect.body !== undefined && answer.body !== expect.body)
    found.push(`the body is ${JSON.stringify(answer.body.slice(0, 60))}`)
  for (const wanted of expect.has ?? []) {
    const [name, value] = wanted.split(': ') as [string, string] // written so
    if (answer.headers[name] !== value) found.push(`${name} is ${answer.headers[name]}`)
  }
  for (const name of expect.lacks ?? []) if (answer.headers[name] !== undefined) found.push(`${name} has travelled`)
  return found
}
