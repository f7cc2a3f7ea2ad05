/** Requests as no browser and no fetch would send them: with any Host. */
import { request, type OutgoingHttpHeaders } from 'node:http'

export interface Answered {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

export interface AskOptions {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string
  /** Asked instead of the host of the URL, by the same port. */
  readonly address?: string
}

/** Asks once and closes the connection. */
export function ask(url: string, { method = 'GET', headers = {}, body, address }: AskOptions = {}): Promise<Answered> {
  const { hostname, port, pathname, search } = new URL(url)
  return new Promise((resolve, reject) => {
    const asking = request(
      {
        host: address ?? hostname.replace(/^\[|\]$/g, ''),
        port,
        path: pathname + search,
        method,
        headers,
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        )
        response.on('error', reject)
      },
    )
    asking.on('error', reject)
    asking.end(body)
  })
}
