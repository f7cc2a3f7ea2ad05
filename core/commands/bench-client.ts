/** The client of `postern bench`: keeps a few connections and asks on each when the answer before is whole. As little code as that takes. */
import { connect, type Socket } from 'node:net'

/** How many exchanges are under way at the same time. */
const connections = 4

/** Sends one request over and over to one address. */
export class BenchClient implements Disposable {
  readonly #port: number
  readonly #idle: Socket[] = []

  constructor(url: string) {
    this.#port = Number(new URL(url).port)
  }

  /** Asks so many times. Rejects with the answer where one is no 200. */
  async ask(request: Buffer, times: number): Promise<void> {
    let left = times
    await Promise.all(
      Array.from({ length: Math.min(connections, times) }, async () => {
        const socket = this.#idle.pop() ?? (await opened(this.#port))
        while (left > 0) {
          left--
          const answer = await one(socket, request)
          if (!answer.startsWith('HTTP/1.1 200')) throw new Error(answer)
        }
        this.#idle.push(socket)
      }),
    )
  }

  [Symbol.dispose](): void {
    for (const socket of this.#idle) socket.destroy()
  }
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.setNoDelay(true).setEncoding('latin1')))
    socket.once('error', reject)
  })
}

function one(socket: Socket, request: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const done = (settle: () => void) => {
      socket.removeAllListeners('data').removeAllListeners('close').removeAllListeners('error')
      settle()
    }
    socket.on('data', (text: string) => {
      answer += text
      if (isWhole(answer)) done(() => resolve(answer))
    })
    socket.on('close', () => done(() => reject(new Error(`the connection was closed: ${answer}`))))
    socket.on('error', (error) => done(() => reject(error)))
    socket.write(request)
  })
}

/** Whether it is all of an answer: as long as it says, or up to its last chunk. */
export function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head === -1) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(answer.slice(0, head + 2))
  if (length) return answer.length >= head + 4 + Number(length[1])
  return answer.endsWith('\r\n0\r\n\r\n')
}
